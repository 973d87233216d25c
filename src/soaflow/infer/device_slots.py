"""Room on a device for the rows of one chunk and their outputs, with a stream of its own.

The invariant: what the model is given of a chunk lies at the same addresses for every chunk, so calls can be
captured once and done again for the next one. Integers of outputs are looked at where they are computed, and
their range is asked for once a chunk.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch

from soaflow.errors import ModelError
from soaflow.failures import reason_of, with_causes
from soaflow.infer.accelerators import Accelerator
from soaflow.infer.chunks import Chunk
from soaflow.infer.routes import Task
from soaflow.infer.run_maps import RunMaps
from soaflow.infer.tensors import Outputs, OutputTensor, input_tensor
from soaflow.infer.timers import DeviceTimer, DeviceTimes, Mark
from soaflow.soa.signature import RowRange
from soaflow.soa.tensor_library import torch_library


def bytes_on(accelerator: Accelerator, stream: Any, size: int) -> torch.Tensor:
    """Return memory of a device for the work of a stream, not filled: uint8, shape `(size,)`."""
    with accelerator.use(stream):
        return torch.empty(size, dtype=torch.uint8, device=accelerator.device)


class DeviceSlot:
    """One chunk on a device.

    Parameters
    ----------
    number
        Of the slot.
    accelerator
        The device.
    stream
        Of the slot alone.
    task
        Of the run.
    maps
        Of the run.
    whole
        The bytes of the collections on the device that crossed whole, by name.
    times
        Where the times of batches go.

    Attributes
    ----------
    received, written
        The bytes of the collection that crosses in chunks, none if there is none, and of the outputs.
    holds
        Number of the chunk whose rows are here; -1 at first.
    done
        Mark after the copies out of that chunk; None if there is nothing to wait for.

    Raises
    ------
    ModelError
        If calls are to be captured that see other addresses in each chunk.
    """

    def __init__(
        self,
        number: int,
        accelerator: Accelerator,
        stream: Any,
        task: Task,
        *,
        maps: RunMaps,
        whole: Mapping[str, torch.Tensor],
        times: DeviceTimes,
    ) -> None:
        self.number = number
        self.stream = stream
        self.holds = -1
        self.done: Mark | None = None
        self.timer = DeviceTimer(lambda: accelerator.mark(stream), times)
        self._accelerator = accelerator
        self._rows = task.plan.rows
        self._captured = _Captured(accelerator, stream, task, maps) if task.graphs else None
        received = maps.placements[maps.chunked].blob_bytes if maps.chunked else 0
        self.received = bytes_on(accelerator, stream, received)
        self.written = bytes_on(accelerator, stream, maps.written.blob_bytes)
        self.outputs = DeviceOutputs(task.signature, maps.written, self.written, torch_library())
        blobs = whole if maps.chunked is None else {**whole, maps.chunked: self.received}
        self.inputs = tuple(
            input_tensor(
                spec,
                maps.placements[spec.collection],
                blobs[spec.collection],
                torch_library(),
                in_chunks=spec.collection == maps.chunked,
            )
            for spec in task.signature.inputs
        )

    def begin(self, chunk: Chunk) -> None:
        """Make ready for a chunk, in the order of the slot's stream."""
        self.holds = chunk.number
        with self.computing():
            self.outputs.forget_ranges()
            if chunk.end == self._rows:
                self.written.zero_()  # the padding that follows the last rows must not be of an earlier chunk

    def computing(self) -> AbstractContextManager[Any]:
        """Return a context in which torch gives its work to the slot's stream."""
        return self._accelerator.use(self.stream)

    def replay(self, chunk: Chunk, call_batches: Callable[[], None]) -> Callable[[], None] | None:
        """Return what does all of a chunk's calls at once, if they are captured or can be now."""
        return self._captured.replay(chunk, call_batches) if self._captured else None


class _Captured:
    """The calls of a full chunk in a slot, captured at the second one and replayed from there on.

    The first is called batch by batch, because libraries allocate and choose algorithms in their first calls.
    """

    def __init__(self, accelerator: Accelerator, stream: Any, task: Task, maps: RunMaps) -> None:
        begins = any(spec.rows is RowRange.BATCH_BEGIN for spec in task.signature.inputs)
        if begins or maps.chunked is None:
            raise ModelError(
                "its calls cannot be captured in a CUDA graph, because what it sees whole lies elsewhere for "
                "each batch: remove key 'cuda_graphs' from the variant"
            )
        self._accelerator = accelerator
        self._stream = stream
        self._rows = task.plan.chunk_rows
        self._full_chunks = 0
        self._replay: Callable[[], None] | None = None

    def replay(self, chunk: Chunk, call_batches: Callable[[], None]) -> Callable[[], None] | None:
        if chunk.end - chunk.begin < self._rows:
            return None
        self._full_chunks += 1
        if self._replay is None and self._full_chunks > 1:
            try:
                self._replay = self._accelerator.captured(self._stream, call_batches)
            except Exception as error:
                *_, first = with_causes(error)  # the end of a capture that failed raises one of its own
                raise ModelError(
                    f"its calls cannot be captured in a CUDA graph ({reason_of(first)}): remove key "
                    "'cuda_graphs' from the variant"
                ) from error
        return self._replay


class DeviceOutputs(Outputs):
    """The output tensors of a slot, whose integers are looked at without a wait.

    Parameters are those of `soaflow.infer.tensors.Outputs`.
    """

    _ranges: "dict[tuple[str, torch.dtype], _RunningRange]"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._ranges = {}

    def look_at_range(self, output: OutputTensor, result: Any) -> None:
        """Take the integers of a result into the range that `check_ranges` asks for."""
        key = (output.spec.name, result.dtype)
        if key not in self._ranges:
            self._ranges[key] = _RunningRange(output, result)
        self._ranges[key].add(result)

    def forget_ranges(self) -> None:
        """Begin the ranges anew."""
        for seen in self._ranges.values():
            seen.forget()

    def check_ranges(self) -> None:
        """Check that the items can hold the integers of all results since `forget_ranges`.

        Raises
        ------
        ModelError
            If they cannot hold one.
        """
        for seen in self._ranges.values():
            seen.check()


class _RunningRange:
    """The least and the greatest integer of an output so far, on the device."""

    def __init__(self, output: OutputTensor, result: torch.Tensor) -> None:
        self._output = output
        self._dtype = result.dtype
        self._range = result.new_empty(2, dtype=torch.int64)
        self.forget()

    def add(self, result: torch.Tensor) -> None:
        least, greatest = self._range
        found = torch.aminmax(result.to(torch.int64))
        torch.minimum(least, found.min, out=least)
        torch.maximum(greatest, found.max, out=greatest)

    def forget(self) -> None:
        limits = torch.iinfo(torch.int64)
        least, greatest = self._range
        least.fill_(limits.max)
        greatest.fill_(limits.min)

    def check(self) -> None:
        from soaflow.soa.tensors import range_of_int64  # noqa: PLC0415  loads torch

        least, greatest = self._range.tolist()
        if least <= greatest:
            self._output.check_range(*range_of_int64(least, greatest, self._dtype))
