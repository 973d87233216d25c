import json

import numpy as np
import pytest
from golden import GOLDEN, golden_placement
from hypothesis import given, settings
from hypothesis import strategies as st

from soaflow.errors import LayoutError
from soaflow.soa.layout import DTYPE_BYTES, Item, ItemKind, Layout
from soaflow.soa.storage import EVENTS, map_blob, mapping_new, read_header, writing


def fnv1a64(blob: bytes) -> str:
    state = 1469598103934665603  # The golden program starts here; FNV's own number ends in one more digit, 7.
    for byte in blob:
        state = (state ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{state:016x}"


def fill(k: int, i: int, r: int, c: int, dtype: str) -> float:
    value = (k + 1) * 7 + 3 * i + 5 * r + 11 * c
    return value % 256 if dtype == "uint8" else value


def filled(k: int, item: Item, rows: int) -> list | float:
    if item.kind is ItemKind.SCALAR:
        return fill(k, 0, 0, 0, item.dtype)
    if item.kind is ItemKind.COLUMN:
        return [fill(k, i, 0, 0, item.dtype) for i in range(rows)]
    if len(item.shape) == 1:
        return [[fill(k, i, r, 0, item.dtype) for r in range(item.shape[0])] for i in range(rows)]
    return [
        [[fill(k, i, r, c, item.dtype) for c in range(item.shape[1])] for r in range(item.shape[0])]
        for i in range(rows)
    ]


def test_there_are_495_golden_cases_and_198_hashes():
    assert len(GOLDEN["cases"]) == 495
    assert sum("fnv1a64" in case for case in GOLDEN["cases"]) == 198


def test_offsets_and_sizes_are_those_of_cmssw():
    for case in GOLDEN["cases"]:
        placement = golden_placement(case)
        assert placement.offsets == case["offsets"], case
        assert placement.blob_bytes == case["blob_bytes"], case


@pytest.mark.parametrize("way", ["storage", "views"])
def test_filled_blobs_have_the_hashes_of_cmssw(tmp_path, way):
    for case in GOLDEN["cases"]:
        if "fnv1a64" not in case:
            continue
        placement, path = golden_placement(case), tmp_path / "filled.h5"
        values = {item.name: filled(k, item, placement.rows) for k, item in enumerate(placement.layout.items)}
        if way == "storage":
            with writing(path, EVENTS, {"filled": placement}, {}) as writer:
                for name, held in values.items():
                    writer.write("filled", name, held)
        else:
            with mapping_new(path, EVENTS, {"filled": placement}, {}) as blobs:
                for name, held in values.items():
                    blobs["filled"].array(name)[...] = held
        blob = map_blob(read_header(path), "filled").buffer
        assert fnv1a64(bytes(blob)) == case["fnv1a64"], case


@settings(deadline=None)
@given(data=st.data(), rows=st.integers(0, 70))
def test_items_follow_each_other_on_aligned_planes(layouts, values_of, reference_blob, data, rows):
    layout = data.draw(layouts())
    placement = layout.place(rows)
    values = values_of(layout, rows, 1)
    for index, item in enumerate(layout.items):
        before = Layout(layout.items[:index], layout.alignment) if index else None
        start = len(reference_blob(before, rows, values)) if before else 0
        assert placement.offsets[item.name] == start
        assert start % layout.alignment == 0
        assert placement.stride(item.name) * item.itemsize % layout.alignment == 0
        alone = Layout((item,), layout.alignment)
        assert placement.item_bytes(item.name) == len(reference_blob(alone, rows, values))
    assert placement.blob_bytes == len(reference_blob(layout, rows, values))


@settings(deadline=None)
@given(data=st.data())
def test_a_layout_survives_its_mapping(layouts, data):
    layout = data.draw(layouts())
    entries = json.loads(json.dumps(layout.to_mappings()))
    again = Layout.from_mappings(entries, layout.alignment)
    assert again == layout
    assert again.digest() == layout.digest()


def test_the_digest_tells_what_decides_the_bytes_and_nothing_else():
    plain = Layout.of(Item("pt", "float32"), Item("eta", "float32"))
    assert Layout.of(Item("pt", "float32", unit="GeV"), Item("eta", "float32")).digest() == plain.digest()
    others = [
        Layout.of(Item("eta", "float32"), Item("pt", "float32")),
        Layout.of(Item("pt", "float64"), Item("eta", "float32")),
        Layout.of(Item("pt", "float32"), Item("eta", "float32"), alignment=64),
        Layout.of(Item("pt", "float32", ItemKind.SCALAR), Item("eta", "float32")),
        Layout.of(Item("pt", "float32", ItemKind.EIGEN, (2,)), Item("eta", "float32")),
        Layout.of(Item("pt", "float32")),
    ]
    assert len({layout.digest() for layout in [plain, *others]}) == 7


def test_a_kind_may_be_left_out():
    assert Item.from_mapping({"name": "pt", "dtype": "float32"}).kind is ItemKind.COLUMN
    assert Item.from_mapping({"name": "mask", "dtype": "uint8", "shape": [3]}).kind is ItemKind.EIGEN


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("pt", "item 'pt' is not a mapping"),
        ({"name": "pt"}, "item 'pt' has no key 'dtype'"),
        ({"dtype": "float32"}, "has no key 'name'"),
        ({"name": "p t", "dtype": "float32"}, "item name 'p t' is not an identifier"),
        ({"name": 3, "dtype": "float32"}, "item name 3 is not an identifier"),
        ({"name": "pt", "dtype": "float33"}, "item 'pt' has dtype 'float33': choose one of bool, int8"),
        ({"name": "pt", "dtype": ["float32"]}, "item 'pt' has dtype"),
        ({"name": "pt", "dtype": "float32", "shpe": [1]}, "item 'pt' has unknown key 'shpe'"),
        ({"name": "pt", "dtype": "float32", 7: 1}, "item 'pt' has unknown key 7"),
        ({"name": "pt", "dtype": "float32", "kind": "row"}, "item 'pt' has kind 'row'"),
        ({"name": "pt", "dtype": "float32", "kind": ["column"]}, "item 'pt' has kind"),
        ({"name": "pt", "dtype": "float32", "unit": 3}, "item 'pt' has unit 3"),
        ({"name": "pt", "dtype": "float32", "unit": None}, "item 'pt' has unit None"),
        ({"name": "pt", "dtype": "float32", "shape": 3}, "item 'pt' has shape 3: give a list"),
        ({"name": "pt", "dtype": "float32", "shape": [1.5]}, "item 'pt' has shape [1.5]: give a list"),
        ({"name": "pt", "dtype": "float32", "shape": [True]}, "item 'pt' has shape [True]: give a list"),
        ({"name": "pt", "dtype": "float32", "shape": [0]}, "eigen item 'pt' has shape [0]"),
        ({"name": "pt", "dtype": "float32", "shape": [1, 1, 1]}, "eigen item 'pt' has shape [1, 1, 1]"),
        ({"name": "pt", "dtype": "float32", "kind": "eigen"}, "eigen item 'pt' has shape []"),
        (
            {"name": "pt", "dtype": "float32", "kind": "scalar", "shape": [2]},
            "scalar item 'pt' has shape [2]",
        ),
    ],
)
def test_a_bad_item_is_an_error_that_names_it(entry, sentence):
    with pytest.raises(LayoutError) as caught:
        Item.from_mapping(entry)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("alignment", [0, 4, 24, 100, 8192, -128, 128.0, True, "128"])
def test_an_alignment_is_a_power_of_two_that_a_mapping_can_hold(alignment):
    with pytest.raises(LayoutError, match="is not a power of two from 8 to 4096"):
        Layout.of(Item("pt", "float32"), alignment=alignment)


def test_a_layout_has_items_with_names_of_their_own():
    with pytest.raises(LayoutError, match="needs at least one item"):
        Layout(())
    with pytest.raises(LayoutError, match="item 'pt' stands twice"):
        Layout.of(Item("pt", "float32"), Item("pt", "int32"))
    with pytest.raises(LayoutError, match="there is no item 'eta': the layout has pt"):
        Layout.of(Item("pt", "float32"))["eta"]
    with pytest.raises(LayoutError, match="a layout is a list of items"):
        Layout.from_mappings({"pt": "float32"})
    with pytest.raises(LayoutError, match="-1 rows cannot be laid out"):
        Layout.of(Item("pt", "float32")).place(-1)


def test_every_dtype_has_numpys_size():
    assert {dtype: np.dtype(dtype).itemsize for dtype in DTYPE_BYTES} == dict(DTYPE_BYTES)
