"""The maps of a run as a device copies from and to them: which collections cross whole, and which in chunks.

The invariant: a collection that the model sees whole, or that the job makes, crosses whole; the one that it
slices crosses in chunks, unless it sees that one whole too. Every map is the end of copies until `close`.
"""

import contextlib

from soaflow.cuda_driver import CudaDriver
from soaflow.infer.chunks import Chunk, ChunkPlan, Region, chunk_regions, slot_placement
from soaflow.infer.host_end import HostEnd
from soaflow.infer.routes import Task
from soaflow.infer.tensors import with_batch_beginnings
from soaflow.infer.transfers import Crossing, Crossings
from soaflow.soa.layout import Placement
from soaflow.soa.signature import PREDICTION_COLLECTION, RowRange


class RunMaps:
    """The input maps and the output map of one run.

    Parameters
    ----------
    driver
        That copies.
    task
        Of the run.
    slots
        How many chunks are on the device at once.

    Attributes
    ----------
    chunked
        Name of the collection that crosses in chunks; None if none does.
    placements
        Of the collections where the model runs: of a chunk's rows, or of all.
    written
        Of the outputs of a chunk.
    crossings
        What has crossed.

    Raises
    ------
    DeviceError
        If the driver locks no pages.
    """

    def __init__(self, driver: CudaDriver, task: Task, slots: int) -> None:
        signature, written, plan = task.signature, task.written, task.plan
        sources = with_batch_beginnings(signature, task.blobs, plan.rows, plan.batch_size)
        whole = {spec.collection for spec in signature.inputs if spec.rows is not RowRange.SLICED}
        sliced = signature.sliced_collection
        self.chunked = None if sliced in whole else sliced
        self.crossings = Crossings()
        self._plan = plan
        self._whole_placements = {name: blob.placement for name, blob in sources.items()}
        self._whole_written = written.placement
        self.placements = {
            name: _in_slot(placement, plan) if name == self.chunked else placement
            for name, placement in self._whole_placements.items()
        }
        self.written = _in_slot(written.placement, plan)
        self._inputs: dict[str, HostEnd] = {}
        with contextlib.ExitStack() as stack:
            for name, blob in sources.items():
                self._inputs[name] = HostEnd(
                    driver,
                    blob,
                    self.placements[name],
                    slots=slots if name == self.chunked else 1,
                    crossings=self.crossings,
                    read_only=True,
                )
                stack.callback(self._inputs[name].close)
            self._outputs = HostEnd(
                driver, written, self.written, slots=slots, crossings=self.crossings, read_only=False
            )
            stack.callback(self._outputs.close)
            self.close = stack.pop_all().close

    @property
    def crossing(self) -> dict[str, Crossing]:
        """How each collection crosses, the predictions among them."""
        found = {name: end.crossing for name, end in self._inputs.items()}
        return {**found, PREDICTION_COLLECTION: self._outputs.crossing}

    @property
    def whole(self) -> tuple[str, ...]:
        """Names of the collections that cross whole."""
        return tuple(name for name in self.placements if name != self.chunked)

    def send_whole(self, name: str, device: int, stream: int) -> None:
        """Put the copies of a whole collection into a stream's queue.

        Parameters
        ----------
        name
            Of the collection.
        device
            Address of its blob on the device.
        stream
            The stream's handle.
        """
        placement = self.placements[name]
        regions = chunk_regions(placement, placement, 0, placement.rows, with_scalars=True)
        self._send(name, regions, 0, device, stream)

    def send(self, chunk: Chunk, slot: int, device: int, stream: int) -> None:
        """Put the copies of a chunk's rows into the queue of a slot's stream, and with the first the scalars.

        Parameters
        ----------
        chunk
            Whose rows to copy.
        slot
            Number of the slot, which nothing else uses.
        device
            Address of the slot's blob.
        stream
            Its stream's handle.
        """
        if self.chunked:
            regions = chunk_regions(
                self._whole_placements[self.chunked],
                self.placements[self.chunked],
                chunk.begin,
                chunk.end,
                with_scalars=chunk.begin == 0,
            )
            self._send(self.chunked, regions, slot, device, stream)

    def receive(self, chunk: Chunk, slot: int, device: int, stream: int) -> None:
        """Put the copies of a chunk's outputs into the queue of a slot's stream; `settle` must follow.

        Parameters are those of `send`.
        """
        for region in chunk_regions(
            self._whole_written,
            self.written,
            chunk.begin,
            chunk.end,
            with_scalars=chunk.end == self._plan.rows,
        ):
            self._outputs.receive(region, slot, device, stream)

    def settle(self, slot: int) -> None:
        """Bring what a slot's copies have brought back into the map, if they did not do so themselves."""
        self._outputs.unstage(slot)

    def _send(self, name: str, regions: tuple[Region, ...], slot: int, device: int, stream: int) -> None:
        for region in regions:
            self._inputs[name].send(region, slot, device, stream)


def _in_slot(whole: Placement, plan: ChunkPlan) -> Placement:
    return slot_placement(whole.layout, whole.rows, plan)
