"""How the rows of a run get to where the model runs, and its outputs back: for each chunk in, called, out.

The invariant: whoever runs a model asks a route for the slot that holds a chunk, calls the model on the
slot's tensors, and hands the chunk back. On the CPU the one slot is the maps themselves.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

from soaflow.infer.chunks import Chunk, ChunkPlan
from soaflow.infer.tensors import InputTensor, Outputs, input_tensors
from soaflow.infer.timers import Clock, HostTimer, Timer
from soaflow.infer.transfers import Crossing, Crossings
from soaflow.soa.signature import PREDICTION_COLLECTION, Signature
from soaflow.soa.storage import MappedBlob
from soaflow.soa.tensor_library import TensorLibrary

WARM_UP_ROWS = 1024
"""The most rows of a warm-up call on the CPU, so that it is cheap where a whole shard is one batch."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a route is for.

    Parameters
    ----------
    signature
        Of the model.
    blobs
        The inputs, mapped, by collection.
    written
        The map of the outputs.
    plan
        How the rows are cut.
    graphs
        Whether the calls of full chunks are captured once for each slot, and then done all at once; of no
        effect on the CPU.
    """

    signature: Signature
    blobs: Mapping[str, MappedBlob]
    written: MappedBlob
    plan: ChunkPlan
    graphs: bool = False


class Slot(Protocol):
    """Where the model finds the rows of a chunk, and leaves its outputs."""

    @property
    def number(self) -> int:
        """From 0."""

    @property
    def inputs(self) -> Sequence[InputTensor]:
        """The tensors, in the signature's order."""

    @property
    def outputs(self) -> Outputs:
        """Those of the chunk's rows, counted from its first."""

    @property
    def timer(self) -> Timer:
        """Of the batches that are called here."""

    def computing(self) -> AbstractContextManager[Any]:
        """Return a context in which the model's calls go where the slot's copies go."""

    def replay(self, chunk: Chunk, call_batches: Callable[[], None]) -> Callable[[], None] | None:
        """Return what does all of a chunk's calls at once; None if they are to be made one by one.

        Parameters
        ----------
        chunk
            That the slot holds.
        call_batches
            Makes the calls, for them to be captured.
        """


class Route(Protocol):
    """The way of one run's rows."""

    @property
    def slots(self) -> Sequence[Slot]:
        """One, or two that take turns."""

    @property
    def crossings(self) -> Crossings:
        """What has crossed."""

    @property
    def crossing(self) -> Mapping[str, Crossing]:
        """How each collection crosses, the predictions among them."""

    @property
    def clock(self) -> Clock:
        """What the times of batches are read from."""

    @property
    def warm_up_rows(self) -> int | None:
        """The most rows of a warm-up call; None for those of a batch."""

    def slot(self, chunk: Chunk) -> Slot:
        """Return the slot that a chunk is for."""

    def bring_in(self, chunk: Chunk) -> Slot:
        """Return the slot with the rows of a chunk, which are brought there if they are not there yet."""

    def take_out(self, chunk: Chunk) -> None:
        """Bring the outputs of a chunk to their map, now or later."""

    def finish(self) -> None:
        """Wait until all outputs are in their map.

        Raises
        ------
        ModelError
            If outputs are found that their items cannot hold.
        """

    def synchronize(self) -> None:
        """Wait until the device has done all it was given."""

    def batch_seconds(self) -> Sequence[float]:
        """Return the time of each batch, as far as it is known."""

    def device_seconds(self) -> float | None:
        """Return the time in which the device computed batches; None on the CPU."""


@dataclass(frozen=True, slots=True)
class MapSlot:
    """All rows, in the maps themselves."""

    inputs: Sequence[InputTensor]
    outputs: Outputs
    timer: HostTimer = field(default_factory=HostTimer)
    number: int = 0

    def computing(self) -> AbstractContextManager[Any]:
        """Return a context of no effect."""
        return nullcontext()

    def replay(self, chunk: Chunk, call_batches: Callable[[], None]) -> None:
        """Return None: calls are made one by one."""


class InPlaceRoute:
    """Nothing moves: the model reads the input maps and its outputs are written to theirs.

    Parameters
    ----------
    task
        Of one chunk.
    tensors
        The library that makes the tensors.
    """

    clock = Clock.HOST
    warm_up_rows = WARM_UP_ROWS

    def __init__(self, task: Task, tensors: TensorLibrary) -> None:
        self.crossings = Crossings()
        self.crossing = dict.fromkeys((*task.blobs, PREDICTION_COLLECTION), Crossing.IN_PLACE)
        batch_size = 0 if task.plan.in_one_call else task.plan.batch_size
        self._slot = MapSlot(
            input_tensors(task.signature, task.blobs, batch_size, tensors),
            Outputs.mapped(task.signature, task.written, tensors),
        )
        self.slots = (self._slot,)

    def slot(self, chunk: Chunk) -> Slot:  # noqa: ARG002  there is one
        """Return the maps."""
        return self._slot

    def bring_in(self, chunk: Chunk) -> Slot:  # noqa: ARG002  there is one
        """Return the maps."""
        return self._slot

    def take_out(self, chunk: Chunk) -> None:
        """Do nothing: the outputs are in their map."""

    def finish(self) -> None:
        """Do nothing: the CPU does not run ahead."""

    def synchronize(self) -> None:
        """Do nothing: the CPU does not run ahead."""

    def batch_seconds(self) -> Sequence[float]:
        """Return the time of each batch."""
        return self._slot.timer.seconds

    def device_seconds(self) -> None:
        """Return None: there is no device."""
