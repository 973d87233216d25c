"""Tensors that are NumPy arrays, views of a mapped blob, for jobs whose model needs no torch.

The invariant: a tensor made here shares the blob's memory, at the place and with the strides that torch's
view has; nothing is copied but by `row_major` and `ArrayTensor.copy_`. The module is a
`soaflow.soa.tensor_library.TensorLibrary`.

>>> columns = from_array(np.arange(6, dtype=np.float32).reshape(2, 3).T)
>>> columns.shape, columns.stride(), columns.narrow(0, 1, 2).numpy().tolist()
((3, 2), (1, 3), [[1.0, 4.0], [2.0, 5.0]])
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from soaflow.soa.mapping import MappedBlob
from soaflow.soa.views import ViewPlan


class ArrayTensor:
    """An array that answers as a `soaflow.soa.tensor_library.Tensor`.

    Parameters
    ----------
    array
        Whose memory it shows, and which keeps that memory.
    """

    __slots__ = ("_array",)

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self._array = array

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._array)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes, rows first."""
        return self._array.shape

    @property
    def dtype(self) -> str:
        """Name of the elements' dtype."""
        return self._array.dtype.name

    def stride(self) -> tuple[int, ...]:
        """Return the strides in elements."""
        size = self._array.itemsize
        return tuple(stride // size for stride in self._array.strides)

    def dim(self) -> int:
        """Return the number of dimensions."""
        return self._array.ndim

    def numel(self) -> int:
        """Return the number of elements."""
        return self._array.size

    def element_size(self) -> int:
        """Return the bytes of an element."""
        return self._array.itemsize

    def data_ptr(self) -> int:
        """Return the address of the first element."""
        address: int = self._array.__array_interface__["data"][0]
        return address

    def is_floating_point(self) -> bool:
        """Tell whether the elements are floating numbers."""
        return self._array.dtype.kind == "f"

    def is_complex(self) -> bool:
        """Tell whether the elements are complex numbers."""
        return self._array.dtype.kind == "c"

    def is_contiguous(self) -> bool:
        """Tell whether the elements lie in row-major order without gaps."""
        return self._array.flags.c_contiguous

    def numpy(self) -> npt.NDArray[Any]:
        """Return the array."""
        return self._array

    def narrow(self, dim: int, start: int, length: int) -> "ArrayTensor":
        """Return the view of `length` rows from `start`; there are no views in other dimensions.

        Raises
        ------
        IndexError
            If it is another dimension than the rows', or there are not these rows.
        """
        if dim or not 0 <= start <= start + length <= len(self._array):
            raise IndexError(f"rows {start} to {start + length} of {len(self._array)}, dimension {dim}")
        return ArrayTensor(self._array[start : start + length])

    def copy_(self, source: "ArrayTensor") -> "ArrayTensor":
        """Copy the elements of another tensor of these sizes, cast to this dtype, and return this one.

        The bits are those of torch's copy, but for a NaN's of float16, in which torch's own differ.
        """
        np.copyto(self._array, source._array, casting="unsafe")
        return self


def blob_tensor(blob: MappedBlob) -> ArrayTensor:
    """Return the blob's bytes as a uint8 tensor of shape `(blob_bytes,)` over the same memory."""
    return ArrayTensor(np.frombuffer(blob.buffer, np.uint8))


def view(blob: ArrayTensor, plan: ViewPlan) -> ArrayTensor:
    """Return the planned tensor over a blob, without a copy.

    Parameters
    ----------
    blob
        The blob's bytes: uint8, shape `(blob_bytes,)`.
    plan
        From `soaflow.soa.views.plan_view` for the blob's placement.
    """
    dtype, memory = np.dtype(plan.dtype), blob.numpy()
    if not memory.size:
        memory = np.empty(dtype.itemsize, np.uint8)  # an array without elements may not lie nowhere
    strides = tuple(stride * dtype.itemsize for stride in plan.strides)
    offset = plan.byte_offset if blob.numel() else 0
    return ArrayTensor(np.ndarray(plan.sizes, dtype, memory.data, offset, strides))


def from_array(array: npt.NDArray[Any]) -> ArrayTensor:
    """Return a tensor over the memory of an array."""
    return ArrayTensor(array)


def row_major(tensor: ArrayTensor) -> ArrayTensor:
    """Return a row-major copy of a tensor, always in memory of its own."""
    return ArrayTensor(np.array(tensor.numpy(), order="C", copy=True))


def integer_range(tensor: ArrayTensor) -> tuple[int, int]:
    """Return the least and the greatest value of a tensor of integers that has some."""
    values = tensor.numpy()
    return int(values.min()), int(values.max())


def computing_only() -> AbstractContextManager[Any]:
    """Return a context that changes nothing: arrays have no gradients."""
    return nullcontext()


def run_single_threaded() -> None:
    """Do nothing: NumPy starts no thread for what is done here."""
