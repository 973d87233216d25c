import json
import subprocess
import sys

import pytest

from soaflow.soa.contract import RETURNED, ROW_MAJOR, STORED, caller_obligations, describe_contract
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import BATCH_BEGIN_LAYOUT, RowRange, Signature, TensorInput, TensorOutput

PARTICLES = Layout.of(
    Item("pt", "float32"),
    Item("eta", "float32"),
    Item("phi", "float32"),
    Item("r", "float32", ItemKind.EIGEN, (9, 8)),
    Item("g", "float32", ItemKind.EIGEN, (9, 8)),
    Item("mask", "uint8", ItemKind.EIGEN, (3,)),
    Item("number", "int32"),
)
HITS = Layout.of(Item("track", "int32"), Item("scale", "float32", ItemKind.SCALAR))
SIGNATURE = Signature(
    (
        TensorInput("momenta", "particles", PARTICLES, ("pt", "eta", "phi")),
        TensorInput("image", "particles", PARTICLES, ("r", "g")),
        TensorInput("mask", "particles", PARTICLES, ("mask",)),
        TensorInput("number", "particles", PARTICLES, ("number",)),
        TensorInput("track", "hits", HITS, ("track",), RowRange.WHOLE),
        TensorInput("scale", "hits", HITS, ("scale",), RowRange.WHOLE),
        TensorInput("begin", "", BATCH_BEGIN_LAYOUT, ("batch_begin",), RowRange.BATCH_BEGIN),
    ),
    (TensorOutput("energy", ("energy",)), TensorOutput("classes", ("classes",))),
    Layout.of(Item("energy", "float32"), Item("classes", "float32", ItemKind.EIGEN, (3,))),
)


def test_description():
    described = {entry["name"]: entry for entry in describe_contract(SIGNATURE)["inputs"]}
    assert described["momenta"]["sizes"] == ["B", 3]
    assert described["momenta"]["strides"] == [1, "S"]
    assert described["momenta"]["rows"] == {"range": "sliced", "minimum": 1, "maximum": None}
    assert described["image"]["sizes"] == ["B", 2, 9, 8]
    assert described["image"]["strides"] == [1, "72*S", "S", "9*S"]
    assert described["scale"]["strides"] == [0, 1]
    assert described["track"]["rows"] == {"range": "whole", "minimum": 0, "maximum": None}
    assert described["begin"]["sizes"] == [1, 1]
    assert described["momenta"]["layout_sha256"] == PARTICLES.digest()
    outputs = describe_contract(SIGNATURE)["outputs"]
    assert [output["sizes"] for output in outputs] == [["B", 1], ["B", 3]]


def test_sizes_alignment_and_digests_are_those_of_the_layouts():
    contract = describe_contract(SIGNATURE)
    assert [entry["name"] for entry in contract["inputs"]] == [spec.name for spec in SIGNATURE.inputs]
    for entry, spec in zip(contract["inputs"], SIGNATURE.inputs, strict=True):
        assert entry["alignment"] == spec.layout.alignment
        assert entry["layout_sha256"] == spec.layout.digest()
        assert len(entry["sizes"]) == len(entry["strides"])
    assert contract["output_layout_sha256"] == SIGNATURE.output_layout.digest()
    assert json.loads(json.dumps(contract)) == contract


def test_what_a_caller_must_hold():
    sentences = caller_obligations(describe_contract(SIGNATURE))
    slices = f"a slice of the rows of collection particles with layout {PARTICLES.digest()[:12]}"
    whole = f"all rows of collection hits with layout {HITS.digest()[:12]}"
    for name, dtype, sizes, strides, what in [
        ("momenta", "float32", "[B, 3]", "[1, S]", slices),
        ("image", "float32", "[B, 2, 9, 8]", "[1, 72*S, S, 9*S]", slices),
        ("mask", "uint8", "[B, 3]", "[1, S]", slices),
        ("track", "int32", "[N, 1]", "[1, S]", whole),
        ("scale", "float32", "[N, 1]", "[0, 1]", whole),
        ("begin", "int32", "[1, 1]", "[1, S]", "holding the number of the batch's first row"),
    ]:
        expected = (
            f"{name}: {dtype} {sizes} with strides {strides} in elements, {what}; "
            "its collection aligned to 128 bytes."
        )
        assert expected in sentences
    assert sentences[0] == (
        "Pass 7 tensors in this order: momenta, image, mask, number, track, scale, begin."
    )
    assert "energy: returned, [B, 1], to be kept as float32." in sentences
    assert "classes: returned, [B, 3], to be kept as float32." in sentences
    assert all(sentence.endswith(".") and "\n" not in sentence for sentence in sentences)
    assert len(set(sentences)) == len(sentences)


def test_outputs_that_are_stored_are_passed_after_the_inputs():
    contract = describe_contract(SIGNATURE, outputs_are=STORED)
    assert [entry["strides"] for entry in contract["outputs"]] == [[1, "S"], [1, "S"]]
    assert {entry["alignment"] for entry in contract["outputs"]} == {128}
    sentences = caller_obligations(contract)
    names = "momenta, image, mask, number, track, scale, begin, energy, classes"
    assert sentences[0] == f"Pass 9 tensors in this order: {names}."
    assert (
        "classes: float32 [B, 3] with strides [1, S] in elements, which is written: a slice of the rows of "
        "the predictions, aligned to 128 bytes."
    ) in sentences
    assert not any("returned" in sentence for sentence in sentences)


def test_outputs_that_are_returned_have_the_models_own_strides():
    contract = describe_contract(SIGNATURE)
    assert contract["outputs_are"] == RETURNED
    assert not any({"strides", "alignment"} & set(entry) for entry in contract["outputs"])


def test_one_input_is_one_tensor():
    one = Signature(SIGNATURE.inputs[:1], SIGNATURE.outputs, SIGNATURE.output_layout)
    assert caller_obligations(describe_contract(one))[0] == "Pass 1 tensor in this order: momenta."


@pytest.mark.parametrize("module", ["contract", "signature", "layout", "views"])
def test_the_module_is_light(module):
    code = f"import sys, soaflow.soa.{module}; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_row_major_inputs_have_strides_of_numbers_and_are_to_be_copied():
    contract = describe_contract(SIGNATURE, inputs_are=ROW_MAJOR)
    assert contract["inputs_are"] == "row_major"
    described = {entry["name"]: entry for entry in contract["inputs"]}
    assert described["momenta"]["strides"] == [3, 1]
    assert described["image"]["strides"] == [144, 72, 8, 1]
    assert described["number"]["strides"] == described["scale"]["strides"] == [1, 1]
    assert described["mask"]["alignment"] == 1
    told = caller_obligations(contract)
    assert "Copy what is a view of a collection into a row-major tensor: ONNX knows no strides." in told
    assert not any(
        "views of the collection, not" in sentence or sentence.startswith("S is") for sentence in told
    )
    assert "its memory aligned to 4 bytes" in told[1]
    assert "inputs_are" not in describe_contract(SIGNATURE)
