import copy
import json

import pytest

from soaflow.errors import LayoutError, TensorSpecError
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import PREDICTION_COLLECTION, RowRange, Signature, TensorInput, TensorOutput

TRACKS = Layout.of(Item("pt", "float32", unit="GeV"), Item("eta", "float32"), Item("phi", "float32"))
HITS = Layout.of(
    Item("x", "float32"),
    Item("y", "float32"),
    Item("track", "int32"),
    Item("scale", "float32", ItemKind.SCALAR),
)
LAYOUTS = {"tracks": TRACKS, "hits": HITS}
INPUTS = [
    {"name": "tracks", "collection": "tracks", "items": ["pt", "eta"]},
    {"name": "hits", "collection": "hits", "items": ["x", "y"], "rows": "whole"},
    {"name": "hit_scale", "collection": "hits", "items": ["scale"], "rows": "whole"},
    {"name": "track_begin", "rows": "batch_begin"},
]
OUTPUTS = [
    {"name": "reco_pt", "items": [{"name": "reco_pt", "dtype": "float32", "unit": "GeV"}]},
    {"name": "classes", "items": [{"name": "classes", "dtype": "float32", "kind": "eigen", "shape": [3]}]},
]


def changed(entries, index, **fields):
    entries = copy.deepcopy(entries)
    entries[index].update(fields)
    return entries


def test_a_signature_is_made_of_a_models_entries():
    signature = Signature.from_config(INPUTS, OUTPUTS, LAYOUTS, 64)
    assert signature.inputs[0] == TensorInput("tracks", "tracks", TRACKS, ("pt", "eta"), RowRange.SLICED)
    assert [spec.rows.value for spec in signature.inputs] == ["sliced", "whole", "whole", "batch_begin"]
    assert signature.outputs == (TensorOutput("reco_pt", ("reco_pt",)), TensorOutput("classes", ("classes",)))
    assert signature.output_layout.names == ("reco_pt", "classes")
    assert signature.output_layout.alignment == 64
    assert signature.sliced_collection == "tracks"
    assert signature.collections == ("tracks", "hits")
    assert signature.inputs[3].layout.names == ("batch_begin",)
    assert PREDICTION_COLLECTION == "predictions"


def test_float64_outputs_change_only_the_width_of_floats():
    outputs = [*OUTPUTS, {"name": "label", "items": [{"name": "label", "dtype": "int32", "unit": "1"}]}]
    signature = Signature.from_config(INPUTS, outputs, LAYOUTS, 64)
    wide = signature.with_float64_outputs()
    assert [item.dtype for item in wide.output_layout.items] == ["float64", "float64", "int32"]
    assert (wide.inputs, wide.outputs) == (signature.inputs, signature.outputs)
    for item, wider in zip(signature.output_layout.items, wide.output_layout.items, strict=True):
        assert wider.to_mapping() | {"dtype": item.dtype} == item.to_mapping()
    assert wide.output_layout.alignment == 64
    assert wide.with_float64_outputs() == wide
    assert [item.dtype for item in signature.output_layout.items] == ["float32", "float32", "int32"]


def test_a_signature_survives_json():
    signature = Signature.from_config(INPUTS, OUTPUTS, LAYOUTS, 64)
    again = Signature.from_mapping(json.loads(json.dumps(signature.to_mapping())))
    assert again == signature
    assert again.to_mapping() == signature.to_mapping()


@pytest.mark.parametrize(
    ("inputs", "outputs", "sentence"),
    [
        (changed(INPUTS, 0, rows="whole"), OUTPUTS, "the sliced inputs come from 0 collections (none)"),
        (
            changed(INPUTS, 1, rows="sliced"),
            OUTPUTS,
            "the sliced inputs come from 2 collections (hits, tracks)",
        ),
        (changed(INPUTS, 1, name="tracks"), OUTPUTS, "two tensors are named 'tracks'"),
        (INPUTS, changed(OUTPUTS, 1, name="reco_pt"), "two tensors are named 'reco_pt'"),
        (changed(INPUTS, 0, collection="jets"), OUTPUTS, "input 'tracks' reads collection 'jets', and the"),
        (changed(INPUTS, 0, items=["pt", "mass"]), OUTPUTS, "there is no item 'mass'"),
        (changed(INPUTS, 0, items=["pt", "phi"]), OUTPUTS, "items pt, phi are not adjacent"),
        (changed(INPUTS, 1, items=["y", "track"]), OUTPUTS, "differ in dtype"),
        (INPUTS, changed(OUTPUTS, 1, items=OUTPUTS[0]["items"]), "item 'reco_pt' stands twice"),
        (INPUTS, changed(OUTPUTS, 1, items=[]), "a tensor needs at least one item"),
        (
            [{"name": "tracks", "items": ["pt"]}],
            OUTPUTS,
            "input 'tracks' has no key 'collection': only inputs with 'rows: batch_begin' need none",
        ),
    ],
)
def test_entries_that_do_not_fit_are_named(inputs, outputs, sentence):
    with pytest.raises((TensorSpecError, LayoutError)) as caught:
        Signature.from_config(inputs, outputs, LAYOUTS, 128)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: entry.pop("inputs"),
        lambda entry: entry.pop("alignment"),
        lambda entry: entry["inputs"][0].pop("layout"),
        lambda entry: entry["inputs"][0].update(rows="sideways"),
        lambda entry: entry["inputs"][0].update(items=3),
        lambda entry: entry["inputs"][0].update(name=[4]),
        lambda entry: entry["inputs"][0].update(collection=4),
        lambda entry: entry["outputs"][0].update(name=None),
        lambda entry: entry["inputs"][0].update(layout="pt"),
        lambda entry: entry["inputs"][0].update(layout_alignment=100),
        lambda entry: entry.update(inputs=[7]),
        lambda entry: entry.update(outputs=None),
        lambda entry: entry["outputs"][0].update(items=["mass"]),
    ],
)
def test_a_damaged_signature_is_a_sentence(damage):
    entry = Signature.from_config(INPUTS, OUTPUTS, LAYOUTS, 128).to_mapping()
    damage(entry)
    with pytest.raises(TensorSpecError, match=r"the signature in net\.pt\.json is damaged \(.+\): export"):
        Signature.from_mapping(entry, "net.pt.json")
