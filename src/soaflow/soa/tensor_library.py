"""What soaflow asks of a tensor and of the library that makes it, so that a job need not import torch.

The invariant: whoever checks, slices, watches or stores a tensor does so through `Tensor` alone, and whoever
makes one asks a `TensorLibrary`. There are two: `soaflow.soa.tensors`, torch's, and `soaflow.soa.arrays`,
NumPy's, which loads in a tenth of torch's time. This module imports neither: the workflow asks for devices,
which name a library, at its start.

>>> import numpy as np
>>> dtype_name(numpy_library().from_array(np.zeros((2, 3), np.float32)))
'float32'
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from soaflow.soa.layout import DTYPE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from soaflow.soa.mapping import MappedBlob
    from soaflow.soa.views import ViewPlan


class Tensor(Protocol):
    """A tensor of any library, as torch's has it."""

    @property
    def shape(self) -> Sequence[int]:
        """Sizes, rows first."""

    @property
    def dtype(self) -> Any:
        """Of the elements; see `dtype_name`."""

    def stride(self) -> Sequence[int]:
        """Return the strides in elements."""

    def dim(self) -> int:
        """Return the number of dimensions."""

    def numel(self) -> int:
        """Return the number of elements."""

    def element_size(self) -> int:
        """Return the bytes of an element."""

    def data_ptr(self) -> int:
        """Return the address of the first element."""

    def is_floating_point(self) -> bool:
        """Tell whether the elements are floating numbers."""

    def is_complex(self) -> bool:
        """Tell whether the elements are complex numbers."""

    def narrow(self, dim: int, start: int, length: int) -> Any:
        """Return the view of `length` entries from `start` in a dimension."""


class TensorLibrary(Protocol):
    """Makes tensors over blobs, and does with them what is not computing the model."""

    def blob_tensor(self, blob: "MappedBlob") -> Any:
        """Return the blob's bytes as a uint8 tensor of shape `(blob_bytes,)` over the same memory."""

    def view(self, blob: Any, plan: "ViewPlan") -> Any:
        """Return the planned tensor over a blob's bytes, without a copy."""

    def from_array(self, array: "npt.NDArray[Any]") -> Any:
        """Return a tensor over the memory of an array."""

    def row_major(self, tensor: Any) -> Any:
        """Return a row-major copy of a tensor, always in memory of its own."""

    def integer_range(self, tensor: Any) -> tuple[int, int]:
        """Return the least and the greatest value of a tensor of integers that has some."""

    def computing_only(self) -> AbstractContextManager[Any]:
        """Return a context in which nothing is kept for gradients."""

    def run_single_threaded(self) -> None:
        """Make the library run on the calling thread alone, for the rest of the process."""


def dtype_name(tensor: Tensor) -> str:
    """Return the name of a tensor's dtype; as `soaflow.soa.layout.DTYPE_BYTES` has it, if it is there."""
    return str(tensor.dtype).removeprefix("torch.")


def dtype_limits(name: str) -> tuple[int, int]:
    """Return the least and the greatest integer that a dtype of integers or bools holds.

    >>> dtype_limits("int8"), dtype_limits("uint16"), dtype_limits("bool")
    ((-128, 127), (0, 65535), (0, 1))
    """
    if name == "bool":
        return 0, 1
    values = 1 << 8 * DTYPE_BYTES[name]
    return (0, values - 1) if name.startswith("uint") else (-values // 2, values // 2 - 1)


def is_tensor(value: object) -> bool:
    """Tell whether a value that a model returned is a tensor of a library."""
    return hasattr(value, "data_ptr") and hasattr(value, "stride")


def torch_library() -> TensorLibrary:
    """Import torch, and return the library of its tensors."""
    from soaflow.soa import tensors  # noqa: PLC0415  loads torch

    return tensors


def numpy_library() -> TensorLibrary:
    """Return the library of tensors that are NumPy arrays."""
    from soaflow.soa import arrays  # noqa: PLC0415  not in every job

    return arrays
