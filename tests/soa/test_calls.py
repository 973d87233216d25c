import numpy as np
import pytest
import torch

from soaflow.errors import ContractError, ModelError
from soaflow.soa.calls import check_inputs, check_outputs
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import BATCH_BEGIN_LAYOUT, RowRange, Signature, TensorInput, TensorOutput
from soaflow.soa.tensors import view
from soaflow.soa.views import plan_view

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


def call(rows=7, begin=0, end=None, hits=5, signature=SIGNATURE):
    """The inputs of one call, as views of zeroed blobs."""
    tensors = []
    for spec in signature.inputs:
        count = {RowRange.SLICED: rows, RowRange.WHOLE: hits, RowRange.BATCH_BEGIN: 1}[spec.rows]
        placement = spec.layout.place(count)
        tensor = view(torch.zeros(placement.blob_bytes, dtype=torch.uint8), plan_view(placement, spec.items))
        tensors.append(tensor[begin:end] if spec.rows is RowRange.SLICED else tensor)
    return tensors


@pytest.mark.parametrize("rows", [1, 2, 33, 300])
@pytest.mark.parametrize("hits", [0, 1, 40])
def test_views_of_collections_are_accepted(rows, hits):
    check_inputs(SIGNATURE, call(rows, hits=hits))


@pytest.mark.parametrize(("begin", "end"), [(0, 1), (5, 6), (5, 40), (33, 100), (99, 100)])
def test_slices_are_accepted(begin, end):
    check_inputs(SIGNATURE, call(100, begin, end))


def test_row_major_is_refused():
    for index in (0, 1, 2):
        inputs = call()
        inputs[index] = inputs[index].contiguous()
        with pytest.raises(ContractError, match=rf"'{SIGNATURE.inputs[index].name}'.*row-major"):
            check_inputs(SIGNATURE, inputs)


def changed(index, tensor):
    inputs = call()
    inputs[index] = tensor
    return inputs


STORAGE = torch.zeros(100_000)
UNALIGNED = torch.frombuffer(bytearray(4001), dtype=torch.float32, offset=1, count=1000)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (call()[:-1], "takes 7 inputs .* has 6"),
        (changed(0, call()[0].double()), "'momenta' has dtype float64.*float32"),
        (changed(2, call()[2].to(torch.int8)), "'mask' has dtype int8.*uint8"),
        (changed(0, call()[0][:, :2]), r"'momenta' has sizes \[7, 2\].*\[rows, 3\]"),
        (changed(0, call()[0][:, 0]), r"'momenta' has sizes \[7\]"),
        (changed(1, call()[1][0]), r"'image' has sizes"),
        (changed(0, STORAGE.as_strided((7, 3), (2, 64))), "1 for the rows"),
        (changed(0, STORAGE.as_strided((7, 3), (0, 64))), "1 for the rows"),
        (call(0), "'momenta' has no rows, and the contract says at least 1"),
        (call(100, 7, 7), "'momenta' has no rows, and the contract says at least 1"),
        (changed(0, STORAGE.as_strided((7, 3), (1, 33))), "planes 132 bytes apart, .* multiple of 128"),
        (changed(1, STORAGE.as_strided((7, 2, 9, 8), (1, 72 * 16, 16, 9 * 16))), "planes 64 bytes apart"),
        (
            changed(0, UNALIGNED.as_strided((7, 3), (1, 64))),
            "'momenta' lies at address 0x.*[13579bdf], .* 4 b",
        ),
        (changed(0, STORAGE.as_strided((7, 3), (1, 6))), "S of at least 7"),
        (changed(0, STORAGE.as_strided((7, 3), (1, 0))), "S of at least 7"),
        (changed(1, STORAGE.as_strided((7, 2, 9, 8), (1, 72 * 32, 32, 9 * 32 + 1))), r"72\*S, 1\*S, 9\*S"),
        (changed(1, STORAGE.as_strided((7, 2, 9, 8), (1, 72 * 32 + 1, 32, 9 * 32))), "one S"),
        (changed(1, STORAGE.as_strided((7, 2, 9, 8), (1, 72 * 32, 8 * 32, 32))), "one S"),
        (changed(5, torch.zeros(5, 1)), "0 for the rows"),
        (changed(3, call(6)[3]), "'number' has 6 rows.* 7"),
        (changed(5, call(hits=6)[5]), "'scale' has 6 rows.* 5"),
        (changed(6, torch.zeros(2, 1, dtype=torch.int32)), "'begin' has 2 rows.* 1"),
    ],
)
def test_what_breaks_the_contract_is_refused(inputs, message):
    with pytest.raises(ContractError, match=message):
        check_inputs(SIGNATURE, inputs)


def test_strides_of_single_elements_are_free():
    inputs = call(1)
    inputs[0] = STORAGE.as_strided((1, 3), (999, 32))
    inputs[3] = torch.zeros(3, dtype=torch.int32).as_strided((1, 1), (3, 17))
    check_inputs(SIGNATURE, inputs)


def test_outputs():
    check_outputs(SIGNATURE, 7, [torch.zeros(7, 1, dtype=torch.float16), torch.zeros(7, 3)])
    for outputs, message in [
        ([torch.zeros(7, 1)], "returned 1 outputs.* 2"),
        ([torch.zeros(7), torch.zeros(7, 3)], r"'energy' has shape \[7\].*\[7, 1\]"),
        ([torch.zeros(6, 1), torch.zeros(7, 3)], r"'energy' has shape \[6, 1\]"),
        ([torch.zeros(7, 1), torch.zeros(7, 4)], r"'classes' has shape \[7, 4\].*\[7, 3\]"),
        ([torch.zeros(7, 1), np.zeros((7, 3))], "'classes' is a ndarray"),
    ]:
        with pytest.raises(ModelError, match=message):
            check_outputs(SIGNATURE, 7, outputs)
