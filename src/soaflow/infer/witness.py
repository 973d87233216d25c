"""Watches the tensors that reach a model, and finds those that are not views of their blob.

The invariant: a witness stands between a backend and its program, so it sees the tensors after
everything that the job and the backend did to them; where a backend says that it copies an input, it also
stands in front of that copy, and counts what was to be copied and what was. Where each must be follows from
the layout, the map's address and the rows of the call alone. It compares addresses and holds no tensor.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from soaflow.infer.proof import InputProof
from soaflow.soa.layout import DTYPE_BYTES
from soaflow.soa.signature import RowRange
from soaflow.soa.tensor_library import Tensor
from soaflow.soa.views import ViewPlan


@dataclass(frozen=True, slots=True)
class Watched:
    """Where the tensors of one input must be.

    Parameters
    ----------
    name, collection
        Of the input; the collection is empty for an input that the job makes itself.
    rows
        Which rows a call sees.
    plan
        Of the tensor over all rows of the blob.
    blob_addresses
        Of the blob where the model runs, for each slot: on the CPU, of the map.
    blob_bytes
        Its size.
    in_chunks
        Whether the blob holds the rows of one chunk, and not all.
    """

    name: str
    collection: str
    rows: RowRange
    plan: ViewPlan
    blob_addresses: tuple[int, ...]
    blob_bytes: int
    in_chunks: bool = False

    def place(self, index: int, begin: int, end: int, chunk_begin: int = 0) -> tuple[int, tuple[int, ...]]:
        """Return where the tensor of a call must begin, from the start of the blob in bytes, and its sizes.

        Parameters
        ----------
        index
            Number of the batch.
        begin, end
            Its rows.
        chunk_begin
            First row of its chunk.
        """
        if self.rows is RowRange.WHOLE:
            return self.plan.byte_offset, self.plan.sizes
        if self.in_chunks:
            begin, end = begin - chunk_begin, end - chunk_begin
        first, rows = (index, 1) if self.rows is RowRange.BATCH_BEGIN else (begin, end - begin)
        row_bytes = self.plan.strides[0] * DTYPE_BYTES[self.plan.dtype]
        return self.plan.byte_offset + first * row_bytes, (rows, *self.plan.sizes[1:])


_Where = tuple[int, int, int, int]
"""Of a call, what `Watched.place` takes; a plain tuple, because one is made for each batch."""


@dataclass(slots=True)
class _Sightings:
    watched: Watched
    tensors: int = 0
    lowest: int | None = None
    highest: int = 0
    bytes_copied: int = 0
    misplaced: int = 0
    bytes_declared: int = 0
    bytes_copied_by_backend: int = 0

    def add(self, tensor: Tensor, slot: int, where: _Where) -> None:
        self.tensors += 1
        offset, sizes = self.watched.place(*where)
        if not tensor.numel():
            self.misplaced += tuple(tensor.shape) != sizes
            return
        begin = tensor.data_ptr() - self.watched.blob_addresses[slot]
        end = begin + extent_bytes(tensor)
        if begin < 0 or end > self.watched.blob_bytes:
            self.bytes_copied += tensor.numel() * tensor.element_size()
            return
        plan = self.watched.plan
        self.misplaced += (begin, tuple(tensor.shape), tuple(tensor.stride()), tensor.element_size()) != (
            offset,
            sizes,
            plan.strides,
            DTYPE_BYTES[plan.dtype],
        )
        self.lowest = begin if self.lowest is None else min(self.lowest, begin)
        self.highest = max(self.highest, end)

    def add_copy(self, tensor: Tensor, slot: int, where: _Where) -> None:
        """Note what the backend made of a tensor that it says it copies."""
        _, sizes = self.watched.place(*where)
        self.misplaced += tuple(tensor.shape) != sizes
        begin = tensor.data_ptr() - self.watched.blob_addresses[slot]
        if not 0 <= begin < self.watched.blob_bytes:
            self.bytes_copied_by_backend += tensor.numel() * tensor.element_size()


def extent_bytes(tensor: Tensor) -> int:
    """Return the bytes from a tensor's first element to the end of its last one in memory.

    >>> import torch
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
        Where the tensors of each input must be, in the order of the call.
    copied
        Names of the inputs that the backend says it copies; `before_copy` must stand in front of that.

    Attributes
    ----------
    calls
        Seen so far.
    seconds
        That watching them took.
    """

    def __init__(self, inputs: Sequence[Watched], copied: Collection[str] = ()) -> None:
        self.calls = 0
        self.seconds = 0.0
        self._sightings = [_Sightings(watched) for watched in inputs]
        self._copied = frozenset(copied)
        self._expected: tuple[int, _Where] = (0, (0, 0, 0, 0))

    def expect(self, index: int, begin: int, end: int, chunk_begin: int = 0, slot: int = 0) -> None:
        """Say which batch the next call is for.

        Parameters
        ----------
        index
            Number of the batch.
        begin, end
            Its rows.
        chunk_begin
            First row of its chunk.
        slot
            Number of the slot that holds the chunk.
        """
        self._expected = (slot, (index, begin, end, chunk_begin))

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

    def before_copy(
        self, copy: Callable[[Sequence[Tensor]], Sequence[Tensor]]
    ) -> Callable[[Sequence[Tensor]], Sequence[Tensor]]:
        """Return a backend's copying function that first notes the tensors it is to copy.

        Parameters
        ----------
        copy
            Takes the tensors of all inputs, and returns those for the program.
        """

        def watched(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
            started = time.perf_counter()
            for sightings, tensor in zip(self._sightings, inputs, strict=True):
                if sightings.watched.name in self._copied:
                    sightings.add(tensor, *self._expected)
                    sightings.bytes_declared += tensor.numel() * tensor.element_size()
            self.seconds += time.perf_counter() - started
            return copy(inputs)

        return watched

    def _note(self, tensors: Sequence[Tensor]) -> None:
        started = time.perf_counter()
        self.calls += 1
        inputs = tensors[: len(self._sightings)]  # outputs that are stored follow
        for sightings, tensor in zip(self._sightings, inputs, strict=True):
            note = sightings.add_copy if sightings.watched.name in self._copied else sightings.add
            note(tensor, *self._expected)
        self.seconds += time.perf_counter() - started

    def proofs(self) -> tuple[InputProof, ...]:
        """Return what was seen of each input."""
        return tuple(
            InputProof(
                name=seen.watched.name,
                collection=seen.watched.collection,
                tensors=seen.tensors,
                blob_bytes=seen.watched.blob_bytes,
                lowest_offset=seen.lowest or 0,
                highest_offset=seen.highest,
                bytes_copied=seen.bytes_copied,
                tensors_misplaced=seen.misplaced,
                bytes_declared=seen.bytes_declared,
                bytes_copied_by_backend=seen.bytes_copied_by_backend,
            )
            for seen in self._sightings
        )
