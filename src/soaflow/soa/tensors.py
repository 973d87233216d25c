"""Torch tensors that are views of a mapped blob.

The invariant: a tensor made here shares the blob's memory; nothing is copied. A job for another
device moves the whole blob once, and the views are then made there.
"""

import torch

from soaflow.soa.storage import MappedBlob
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
