"""Blobs of files, mapped into memory without reading them, and blobs that no file keeps.

The invariant: a blob's address is a multiple of its layout's alignment, because its start in the
file is one and no alignment exceeds a page. What a blob in memory holds lies where the same layout has it
in a file.
"""

import ctypes
import mmap
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from soaflow.errors import StorageError
from soaflow.soa.arrangement import item_array
from soaflow.soa.header import FileHeader
from soaflow.soa.layout import Placement

UNTOUCHED = 0xFF
"""Of memory for outputs, each byte before anything is stored; as a floating number it is NaN."""


@dataclass(frozen=True, slots=True)
class MappedBlob:
    """A collection's blob, mapped into memory without reading it.

    Parameters
    ----------
    placement
        Layout, rows and offsets within the blob.
    buffer
        The blob's bytes. Writing to a private map leaves the file as it was.
    address
        Of the blob's first byte, a multiple of the alignment; 0 when the blob is empty.
    """

    placement: Placement
    buffer: memoryview
    address: int

    def array(self, name: str) -> npt.NDArray[Any]:
        """Return an item as a NumPy view: `(n,)`, `(n, R)`, `(n, R, C)` or, for a scalar, `()`.

        Raises
        ------
        LayoutError
            If the item is not in the layout.
        """
        return item_array(self.buffer, self.placement, name)

    def by_row(self, name: str) -> npt.NDArray[Any]:
        """Return an item as `array` does, but a scalar repeated for each row: `(n,)`."""
        array = self.array(name)
        return array if array.ndim else np.broadcast_to(array, (self.placement.rows,))


def map_blob(
    header: FileHeader, collection: str, *, shared: bool = False, read_only: bool = False
) -> MappedBlob:
    """Map the blob of a collection.

    Parameters
    ----------
    header
        From `soaflow.soa.storage.read_header`.
    collection
        Name of the collection.
    shared
        Writes reach the file; otherwise they stay private to the process (copy-on-write), because
        torch has no read-only tensors and a write to a read-only map ends the process.
    read_only
        Nothing can be written, and no tensor be made: for a device that copies the file's own pages. Of a
        private map the kernel gives it copies, because it must not see what others write to the file.

    Raises
    ------
    StorageError
        If the file does not have the collection, or has gone or shrunk since its header was read.
    """
    stored = header.collection(collection)
    size = stored.placement.blob_bytes
    if not size:
        return MappedBlob(stored.placement, memoryview(bytearray()), 0)
    page_start = stored.file_offset // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
    lead = stored.file_offset - page_start
    try:
        with open(header.path, "r+b" if shared else "rb") as stream:
            if os.fstat(stream.fileno()).st_size < stored.file_offset + size:
                raise StorageError(f"{header.path} has shrunk since it was opened: write it again")
            mapped = mmap.mmap(
                stream.fileno(),
                lead + size,
                flags=mmap.MAP_SHARED if shared or read_only else mmap.MAP_PRIVATE,
                prot=mmap.PROT_READ if read_only else mmap.PROT_READ | mmap.PROT_WRITE,
                offset=page_start,
            )
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise StorageError(f"{header.path} cannot be mapped into memory: {reason}") from error
    buffer = memoryview(mapped)[lead:]
    return MappedBlob(stored.placement, buffer, np.frombuffer(buffer, np.uint8).ctypes.data)


def blob_in_memory(placement: Placement) -> MappedBlob:
    """Return a blob of zeros, mapped from no file; it starts at the beginning of a page."""
    memory = mmap.mmap(-1, max(1, placement.blob_bytes))
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return MappedBlob(placement, memoryview(memory)[: placement.blob_bytes], address)
