"""A model on a GPU, called with rows that lie in this process's memory, as a caller there would.

The invariant: of each call the rows go over and the outputs come back, one copy for each tensor, and the call
returns when they are there; so its time stands beside that of a call on the CPU. What a call sees of a
collection as a whole goes over once, as in a job.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch

from soaflow.infer.backends import Backend, StoringBackend
from soaflow.infer.tensors import Outputs
from soaflow.soa.signature import RowRange, Signature
from soaflow.soa.tensor_library import Tensor

_PLANE_BYTES = 128
"""Of which the address of each plane is a multiple, as in a collection."""


class CrossingBackend(Backend):
    """Wraps a backend on a device.

    Parameters
    ----------
    backend
        Whose tensors are on the device.
    signature
        Of the model, with outputs as they are for what the backend computes in.
    device
        Where the backend's tensors are; the CPU stands for one in tests.
    """

    def __init__(self, backend: Backend, signature: Signature, device: str) -> None:
        super().__init__(backend.program, backend.check, backend.source_sha256, backend.tensors)
        self._backend = backend
        self._device = device
        self._whole = [spec.rows is RowRange.WHOLE for spec in signature.inputs]
        self._kept: dict[tuple[int, tuple[int, ...]], Any] = {}

    def run_batch(self, inputs: Sequence[Tensor], outputs: Outputs, begin: int, end: int) -> float:
        """Move a batch's rows to the device, run the model there, and bring the outputs into their rows."""
        moved = [
            self._moved_once(tensor) if whole else moved_rows(tensor, self._device)
            for tensor, whole in zip(inputs, self._whole, strict=True)
        ]
        if isinstance(self._backend, StoringBackend):
            here = outputs.rows(begin, end)
            there = [_room_like(tensor, self._device) for tensor in here]
            self._backend.run([*moved, *(tensor for tensor, _ in there)])
            for tensor, (view, room) in zip(here, there, strict=True):
                tensor.copy_(room.cpu().as_strided(view.shape, view.stride()))
        else:
            outputs.write([result.cpu() for result in self._backend(moved)], begin, end)
        return 0.0

    def _moved_once(self, tensor: Any) -> Any:
        key = tensor.data_ptr(), tuple(tensor.shape)
        if key not in self._kept:
            self._kept[key] = moved_rows(tensor, self._device)
        return self._kept[key]


def moved_rows(tensor: Any, device: str) -> Any:
    """Return a view's rows on a device, with planes as far apart as its own rows need, in one copy.

    Parameters
    ----------
    tensor
        A view of a collection, on the CPU.
    device
        Where it goes.

    Returns
    -------
    torch.Tensor
        Of the same sizes and dtype.
    """
    view, room = _room_like(tensor, "cpu")
    if room.numel():
        view.narrow(0, 0, view.shape[0] if view.stride(0) else 1).copy_(
            tensor if view.stride(0) else tensor.narrow(0, 0, 1)
        )
    return room.to(device).as_strided(view.shape, view.stride())


def _room_like(tensor: Any, device: str) -> tuple[Any, Any]:
    """Return room for the rows of a view, as the view of it and as the whole of it."""
    rows = tensor.shape[0]
    plane = -(-max(rows, 1) * tensor.element_size() // _PLANE_BYTES) * _PLANE_BYTES // tensor.element_size()
    extents = list(zip(tensor.shape[1:], tensor.stride()[1:], strict=True))
    apart = min((stride for size, stride in extents if size > 1), default=1)
    strides = [stride // apart * plane if size > 1 else plane for size, stride in extents]
    planes = math.prod(tensor.shape[1:])
    room = torch.empty(planes * plane if rows else 0, dtype=tensor.dtype, device=device)
    return room.as_strided(tensor.shape, (tensor.stride(0), *strides)), room
