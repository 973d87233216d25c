"""The end of copies between a mapped blob and a device that lies in this process, and what crosses there.

The invariant: a device reads and writes locked pages only. They are the map's own where the driver locks
these, else those of a staging buffer for each slot, which the host copies to and from; what it so copies is
counted. Every lock is let go again. Nothing here needs torch.
"""

import contextlib
import mmap
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from soaflow.cuda_driver import CudaDriver, Lines
from soaflow.errors import DeviceError
from soaflow.infer.chunks import Region
from soaflow.infer.transfers import Crossing, Crossings
from soaflow.soa.layout import Placement
from soaflow.soa.mapping import MappedBlob, blob_in_memory


class HostEnd:
    """A mapped blob as what a device copies from or to.

    Parameters
    ----------
    driver
        That copies, and locks pages.
    blob
        The map.
    slot
        How a slot has the blob's rows.
    slots
        How many slots there are.
    crossings
        Where copies are counted.
    read_only
        Whether the device only reads the blob.

    Attributes
    ----------
    crossing
        Whether the map's own pages are locked, or the rows are staged.

    Raises
    ------
    DeviceError
        If the driver locks neither the map's pages nor those of a buffer.
    """

    def __init__(
        self,
        driver: CudaDriver,
        blob: MappedBlob,
        slot: Placement,
        *,
        slots: int,
        crossings: Crossings,
        read_only: bool,
    ) -> None:
        self._driver = driver
        self._blob = blob
        self._crossings = crossings
        self._staging: list[MappedBlob] = []
        self._to_unstage: list[list[Region]] = [[] for _ in range(slots)]
        self._locks = contextlib.ExitStack()
        self.crossing = Crossing.LOCKED
        if blob.placement.blob_bytes and self._lock(blob, read_only=read_only):
            self.crossing = Crossing.STAGED
            for _ in range(slots):
                self._staging.append(blob_in_memory(slot))
                if refusal := self._lock(self._staging[-1], read_only=False):
                    self.close()
                    raise DeviceError(
                        f"the GPU's driver locks no memory to copy from and to ({refusal}): run the job on "
                        "another GPU, or set the variant's device to cpu"
                    )

    def send(self, region: Region, slot: int, device: int, stream: int) -> None:
        """Put a copy to the device into a stream's queue; a staging buffer must be free by then.

        Parameters
        ----------
        region
            To copy.
        slot
            Number of the slot.
        device
            Address of the slot's blob.
        stream
            Its stream's handle.
        """
        if self._staging:
            buffer = self._staging[slot]
            _lines(buffer, region.slot_offset, region.slot_pitch, region)[...] = self._in_blob(region)
            self._crossings.bytes_staged += region.size
        self._driver.copy_to_device(
            self._lines(region, slot),
            Lines(device + region.slot_offset, region.slot_pitch),
            region.width,
            region.height,
            stream,
        )
        self._crossings.transfers_in += 1
        self._crossings.bytes_in += region.size

    def receive(self, region: Region, slot: int, device: int, stream: int) -> None:
        """Put a copy from the device into a stream's queue; `unstage` must follow when it is done.

        Parameters are those of `send`.
        """
        self._driver.copy_to_host(
            Lines(device + region.slot_offset, region.slot_pitch),
            self._lines(region, slot),
            region.width,
            region.height,
            stream,
        )
        self._crossings.transfers_out += 1
        self._crossings.bytes_out += region.size
        if self._staging:
            self._to_unstage[slot].append(region)

    def unstage(self, slot: int) -> None:
        """Bring into the map what a slot's staging buffer has received."""
        for region in self._to_unstage[slot]:
            buffer = self._staging[slot]
            self._in_blob(region)[...] = _lines(buffer, region.slot_offset, region.slot_pitch, region)
            self._crossings.bytes_staged += region.size
        self._to_unstage[slot].clear()

    def close(self) -> None:
        """Let the locked pages go; nothing may be copying any more."""
        self._locks.close()

    def _lines(self, region: Region, slot: int) -> Lines:
        if self._staging:
            return Lines(self._staging[slot].address + region.slot_offset, region.slot_pitch)
        return Lines(self._blob.address + region.blob_offset, region.blob_pitch)

    def _in_blob(self, region: Region) -> npt.NDArray[Any]:
        return _lines(self._blob, region.blob_offset, region.blob_pitch, region)

    def _lock(self, blob: MappedBlob, *, read_only: bool) -> str:
        """Lock the pages that a blob lies in, and return why that cannot be, if it cannot."""
        first = blob.address // mmap.PAGESIZE * mmap.PAGESIZE
        end = -(-(blob.address + blob.placement.blob_bytes) // mmap.PAGESIZE) * mmap.PAGESIZE
        started = time.perf_counter()
        refusal = self._driver.lock_pages(first, end - first, read_only=read_only)
        self._crossings.locking_seconds += time.perf_counter() - started
        if not refusal:
            self._locks.callback(self._driver.unlock_pages, first)
        return refusal


def _lines(blob: MappedBlob, offset: int, pitch: int, region: Region) -> npt.NDArray[Any]:
    """Return the bytes of a region as `(height, width)`, over a blob's own memory."""
    return np.ndarray((region.height, region.width), np.uint8, blob.buffer, offset, (pitch, 1))
