"""Watches the tensors that reach a model, and finds those that are not views of their blob.

The invariant: a witness stands between a backend and its program, so it sees the tensors after
everything that the job and the backend did to them. It compares addresses and holds no tensor.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from soaflow.infer.proof import InputProof


@dataclass(slots=True)
class _Sightings:
    name: str
    collection: str
    blob_address: int
    blob_bytes: int
    tensors: int = 0
    lowest: int | None = None
    highest: int = 0
    bytes_copied: int = 0

    def add(self, tensor: torch.Tensor) -> None:
        self.tensors += 1
        if not tensor.numel():
            return
        begin = tensor.data_ptr() - self.blob_address
        end = begin + extent_bytes(tensor)
        if begin < 0 or end > self.blob_bytes:
            self.bytes_copied += tensor.numel() * tensor.element_size()
            return
        self.lowest = begin if self.lowest is None else min(self.lowest, begin)
        self.highest = max(self.highest, end)


def extent_bytes(tensor: torch.Tensor) -> int:
    """Return the bytes from a tensor's first element to the end of its last one in memory.

    >>> extent_bytes(torch.zeros(3, 64).t())  # [64, 3], strides [1, 64], float32
    768
    """
    steps = sum(stride * (size - 1) for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return (steps + 1) * tensor.element_size()


class Witness:
    """Watches the calls of one job.

    Parameters
    ----------
    inputs
        Of each input in the order of the call: its name, its collection and the blob, where the model
        runs, that its tensors must be views of (uint8, shape `(blob_bytes,)`).
    """

    def __init__(self, inputs: Sequence[tuple[str, str, torch.Tensor]]) -> None:
        self.calls = 0
        self._sightings = [
            _Sightings(name, collection, blob.data_ptr(), blob.numel()) for name, collection, blob in inputs
        ]

    def around(self, program: Callable[..., object]) -> Callable[..., object]:
        """Return a program that notes the tensors it is called with and passes them on.

        Parameters
        ----------
        program
            Takes the input tensors one by one, or one list of them.
        """

        def watched(*arguments: object) -> object:
            tensors = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list) else arguments
            self._note(tensors)  # type: ignore[arg-type]
            return program(*arguments)

        return watched

    def _note(self, tensors: Sequence[torch.Tensor]) -> None:
        self.calls += 1
        for sightings, tensor in zip(self._sightings, tensors, strict=True):
            sightings.add(tensor)

    def proofs(self) -> tuple[InputProof, ...]:
        """Return what was seen of each input."""
        return tuple(
            InputProof(
                name=seen.name,
                collection=seen.collection,
                tensors=seen.tensors,
                blob_bytes=seen.blob_bytes,
                lowest_offset=seen.lowest or 0,
                highest_offset=seen.highest,
                bytes_copied=seen.bytes_copied,
            )
            for seen in self._sightings
        )
