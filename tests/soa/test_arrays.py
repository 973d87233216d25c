"""Arrays as tensors: the same places, sizes and strides as torch's views of the same blob."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch

from soaflow.soa import arrays, tensors
from soaflow.soa.arrays import ArrayTensor
from soaflow.soa.mapping import blob_in_memory
from soaflow.soa.tensor_library import dtype_limits, dtype_name, is_tensor
from soaflow.soa.views import plan_view


@pytest.mark.parametrize("rows", [0, 1, 33, 200])
def test_views_are_where_torchs_are(every_kind, rows):
    blob = blob_in_memory(every_kind.place(rows))
    np.frombuffer(blob.buffer, np.uint8)[...] = np.arange(len(blob.buffer)) % 251
    for item in every_kind.items:
        plan = plan_view(blob.placement, (item.name,))
        mine, theirs = (library.view(library.blob_tensor(blob), plan) for library in (arrays, tensors))
        assert (mine.shape, mine.stride()) == (tuple(theirs.shape), theirs.stride())
        assert dtype_name(mine) == dtype_name(theirs) == item.dtype
        for ask in ("dim", "numel", "element_size", "is_floating_point", "is_complex", "is_contiguous"):
            assert getattr(mine, ask)() == getattr(theirs, ask)(), ask
        if mine.numel():
            assert mine.data_ptr() == theirs.data_ptr()
            assert mine.numpy().tobytes() == theirs.numpy().tobytes()
        if rows > 2 and item.shape:
            some, other = mine.narrow(0, 1, 2), theirs.narrow(0, 1, 2)
            assert (some.data_ptr(), some.shape, some.stride()) == (
                other.data_ptr(),
                tuple(other.shape),
                other.stride(),
            )


@pytest.mark.parametrize(("dim", "start", "length"), [(1, 0, 1), (0, -1, 2), (0, 2, 2), (0, 0, -1)])
def test_rows_that_are_not_there_are_no_shorter_view(dim, start, length):
    with pytest.raises(IndexError, match="dimension"):
        ArrayTensor(np.zeros((3, 2))).narrow(dim, start, length)


@pytest.mark.parametrize(
    ("dtype", "to"),  # no floating result is stored in integers
    [
        *itertools.product(("float16", "float32", "float64"), ("float32", "float64")),
        *itertools.product(("int64", "bool"), ("float32", "float64", "int32", "bool")),
    ],
)
def test_a_copy_has_the_bits_of_torchs(dtype, to):
    values = np.array([0, 1, -0.0, 1.0000001, 1e-8, 7e-46, 65519, 1e5, np.inf, np.nan])
    if np.dtype(dtype).kind != "f":
        values = values[:2]
    with np.errstate(over="ignore"):
        source = values.astype(dtype)
    mine, theirs = np.zeros(len(source), to), np.zeros(len(source), to)
    arrays.from_array(mine).copy_(arrays.from_array(source))
    tensors.from_array(theirs).copy_(tensors.from_array(source))
    if dtype == "float16":  # of whose NaN torch itself gives other bits in rows of eight
        np.testing.assert_array_equal(mine, theirs)
    else:
        assert mine.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_ranges_of_integers(dtype):
    least, greatest = dtype_limits(dtype)
    assert (least, greatest) == (np.iinfo(dtype).min, np.iinfo(dtype).max)
    values = np.array([3, least, greatest, 1], dtype)
    assert arrays.integer_range(ArrayTensor(values)) == (least, greatest)
    if dtype != "uint64":  # where torch's least is that of the upper half
        assert tensors.integer_range(torch.from_numpy(values)) == (least, greatest)


@pytest.mark.parametrize("library", [arrays, tensors])
def test_row_major_always_copies(library):
    values = np.arange(6.0).reshape(3, 2)
    for given in (values, values.T):
        copied = library.row_major(library.from_array(given))
        assert np.array_equal(copied.numpy(), given)
        assert copied.is_contiguous()
        assert not np.shares_memory(copied.numpy(), given)


def test_what_is_a_tensor():
    assert is_tensor(torch.zeros(1))
    assert is_tensor(ArrayTensor(np.zeros(1)))
    assert not any(map(is_tensor, (1.0, [torch.zeros(1)], None, np.zeros(1))))


def test_neither_needs_the_other():
    code = (
        "import sys, soaflow.soa.tensor_library; print({'torch', 'numpy', 'h5py'} & set(sys.modules));"
        "import soaflow.soa.arrays, soaflow.infer.backends, soaflow.infer.loading;"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\nFalse\n"
