"""Torch tensors that are views of a mapped blob.

The invariant: a tensor made here shares the blob's memory; nothing is copied but by `row_major`. On another
device the views are of the blob that a chunk of rows was copied to. The module is a
`soaflow.soa.tensor_library.TensorLibrary`.
"""

from contextlib import AbstractContextManager
from typing import Any

import numpy.typing as npt
import torch

from soaflow import threads
from soaflow.soa.mapping import MappedBlob
from soaflow.soa.views import ViewPlan


def blob_tensor(blob: MappedBlob) -> torch.Tensor:
    """Return the blob's bytes as a uint8 tensor of shape `(blob_bytes,)` over the same memory."""
    if not blob.placement.blob_bytes:
        return torch.empty(0, dtype=torch.uint8)
    return torch.frombuffer(blob.buffer, dtype=torch.uint8)


def view(blob: torch.Tensor, plan: ViewPlan) -> torch.Tensor:
    """Return the planned tensor over a blob, without a copy.

    Parameters
    ----------
    blob
        The blob's bytes: uint8, shape `(blob_bytes,)`, on any device.
    plan
        From `soaflow.soa.views.plan_view` for the blob's placement.
    """
    dtype: torch.dtype = getattr(torch, plan.dtype)
    if not blob.numel():
        return torch.empty(0, dtype=dtype, device=blob.device).as_strided(plan.sizes, plan.strides)
    return blob.view(dtype).as_strided(plan.sizes, plan.strides, plan.byte_offset // dtype.itemsize)


def from_array(array: npt.NDArray[Any]) -> torch.Tensor:
    """Return a tensor over the memory of an array."""
    return torch.from_numpy(array)


def row_major(tensor: torch.Tensor) -> torch.Tensor:
    """Return a row-major copy of a tensor, always in memory of its own."""
    return tensor.clone(memory_format=torch.contiguous_format)


def integer_range(tensor: torch.Tensor) -> tuple[int, int]:
    """Return the least and the greatest value of a tensor of integers that has some."""
    least, greatest = (int(value) for value in torch.aminmax(tensor.to(torch.int64)))
    return range_of_int64(least, greatest, tensor.dtype)


def range_of_int64(least: int, greatest: int, dtype: torch.dtype) -> tuple[int, int]:
    """Return the range of integers of a dtype from that of the same as int64."""
    # As int64 a uint64 over the range of int64 is negative, which no uint64 is.
    if dtype == torch.uint64 and least < 0:
        return greatest, least + (1 << 64)
    return least, greatest


def computing_only() -> AbstractContextManager[Any]:
    """Return a context in which nothing is kept for gradients."""
    return torch.inference_mode()


def run_single_threaded() -> None:
    """Make torch run on the calling thread alone, for the rest of the process."""
    threads.run_single_threaded()
