"""The way of a run's rows through a device: two slots take turns, so one copies while the other computes.

The invariant: all work of a chunk, copies in, calls and copies out, is in the order of its slot's stream, so
a slot is used again without a wait between streams. The host waits for a slot before it touches what the
slot's last chunk left on the host's side: staging buffers, times, ranges of integers. Collections that cross
whole do so before the first chunk. Memory is released and pages are unlocked after the device has done
everything, so torch's allocator need not be told that streams share it.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from soaflow.errors import ModelError, OutOfDeviceMemoryError
from soaflow.failures import reason_of
from soaflow.infer.accelerators import Accelerator
from soaflow.infer.chunks import Chunk, scalar_regions
from soaflow.infer.device_slots import DeviceSlot, bytes_on
from soaflow.infer.routes import Task
from soaflow.infer.run_maps import RunMaps
from soaflow.infer.timers import Clock, DeviceTimes

SLOTS = 2
"""One copies while the other computes."""


@contextlib.contextmanager
def device_route(accelerator: Accelerator, task: Task) -> Iterator["DeviceRoute"]:
    """Give the route of a run for the block, after which no page is locked and no work is left.

    Parameters
    ----------
    accelerator
        The device.
    task
        Of the run.

    Raises
    ------
    OutOfDeviceMemoryError
        If the device's memory does not hold the slots, or the block asks it for more than it has.
    DeviceError
        If the driver refuses a copy.
    ModelError
        If calls are to be captured that see other addresses in each chunk, or the device fails at a call.
    """
    accelerator.release_unused()
    with contextlib.ExitStack() as stack:
        slots = max(1, min(SLOTS, len(task.plan.chunks)))
        maps = RunMaps(accelerator.driver, task, slots)
        stack.push(_leaving_the_first_error(maps.close))
        stack.push(_leaving_the_first_error(accelerator.synchronize))  # which comes first on the way out
        try:
            yield DeviceRoute(accelerator, task, maps, slots)
        except Exception as error:
            if accelerator.ran_out_of_memory(error):
                plan = task.plan
                raise OutOfDeviceMemoryError(
                    f"the memory of {accelerator.device} does not hold {plan.chunk_rows} rows in calls of "
                    f"{plan.batch_size}: give the variant a smaller batch_size, or the job a larger device"
                ) from None
            if failure := _failure_of(accelerator):
                raise ModelError(
                    f"the work of the model fails on {accelerator.device} ({failure}): run the variant on "
                    "the CPU, where a call that fails names its rows, or on another GPU if none does"
                ) from error
            raise


def _leaving_the_first_error(work: Callable[[], None]) -> Callable[..., None]:
    """Return what does work on the way out of a context: a device that has failed refuses it too."""

    def on_the_way_out(_type: object, error: BaseException | None, _traceback: object) -> None:
        with contextlib.suppress(Exception) if error else contextlib.nullcontext():
            work()

    return on_the_way_out


def _failure_of(accelerator: Accelerator) -> str:
    """Return why a device works no more, which it tells whatever call comes next; empty if it does."""
    try:
        accelerator.synchronize()
    except RuntimeError as failure:
        return reason_of(failure)
    return ""


class DeviceRoute:
    """The way of a run's rows through a device; made by `device_route`.

    Parameters
    ----------
    accelerator
        The device.
    task
        Of the run.
    maps
        Of the run.
    slots
        How many chunks are on the device at once.
    """

    clock = Clock.DEVICE
    warm_up_rows = None  # TorchScript, cuDNN and Triton choose for the shapes that they see first

    def __init__(self, accelerator: Accelerator, task: Task, maps: RunMaps, slots: int) -> None:
        self._accelerator = accelerator
        self._maps = maps
        self.crossings = maps.crossings
        self.crossing = maps.crossing
        streams = [accelerator.stream() for _ in range(slots)]
        self._times = DeviceTimes(accelerator.mark(streams[0]))
        self._whole = {
            name: bytes_on(accelerator, streams[0], maps.placements[name].blob_bytes) for name in maps.whole
        }
        self.slots = tuple(
            DeviceSlot(number, accelerator, stream, task, maps=maps, whole=self._whole, times=self._times)
            for number, stream in enumerate(streams)
        )

    def slot(self, chunk: Chunk) -> DeviceSlot:
        """Return the slot that a chunk is for: the slots take turns."""
        return self.slots[chunk.number % len(self.slots)]

    def bring_in(self, chunk: Chunk) -> DeviceSlot:
        """Return the slot with the rows of a chunk, or with their copies in its stream's queue."""
        slot = self.slot(chunk)
        if slot.holds != chunk.number:
            if chunk.number == 0:
                self._bring_whole()
            self._settle(slot)
            slot.begin(chunk)
            self._maps.send(chunk, slot.number, slot.received.data_ptr(), slot.stream.cuda_stream)
            if chunk.number == 0:
                self._share_scalars()
        return slot

    def take_out(self, chunk: Chunk) -> None:
        """Put the copies of a chunk's outputs into its stream's queue."""
        slot = self.slot(chunk)
        self._maps.receive(chunk, slot.number, slot.written.data_ptr(), slot.stream.cuda_stream)
        slot.done = self._accelerator.mark(slot.stream)

    def finish(self) -> None:
        """Settle the slots, that of the earlier chunk first.

        Raises
        ------
        ModelError
            If outputs are found that their items cannot hold.
        """
        for slot in sorted(self.slots, key=lambda slot: slot.holds):
            self._settle(slot)

    def synchronize(self) -> None:
        """Wait until the device has done all it was given."""
        self._accelerator.synchronize()

    def batch_seconds(self) -> Sequence[float]:
        """Return the time of each batch of the chunks that are settled."""
        return self._times.seconds

    def device_seconds(self) -> float:
        """Return the time in which some batch ran."""
        return self._times.busy_seconds()

    def _bring_whole(self) -> None:
        """Bring what the model sees whole to the device; each stream waits for it."""
        first, *others = (slot.stream for slot in self.slots)
        for name, blob in self._whole.items():
            self._maps.send_whole(name, blob.data_ptr(), first.cuda_stream)
        self._let_wait(first, others)

    def _share_scalars(self) -> None:
        """Copy the scalars, which came with the first chunk, from its slot to the other."""
        chunked = self._maps.chunked
        first, *others = self.slots
        regions = scalar_regions(self._maps.placements[chunked]) if chunked else ()
        if regions:
            self._let_wait(first.stream, [slot.stream for slot in others])
        for slot in others if regions else ():
            with slot.computing():
                for region in regions:
                    there, here = (
                        side.received.narrow(0, region.slot_offset, region.size) for side in (first, slot)
                    )
                    here.copy_(there)

    def _let_wait(self, first: Any, others: Sequence[Any]) -> None:
        if others:
            mark = self._accelerator.mark(first)
            for stream in others:
                self._accelerator.wait_for(mark, stream)

    def _settle(self, slot: DeviceSlot) -> None:
        """Wait for a slot's chunk, and do what is left of it on the host's side."""
        if slot.done is not None:
            slot.done.synchronize()
            slot.done = None
            slot.timer.read()
            slot.outputs.check_ranges()
            self._maps.settle(slot.number)
