"""Blobs in memory, where a measurement puts rows and outputs that no file keeps.

The invariant: what a blob in memory holds lies where the same layout has it in a file, and starts as zeros.
"""

import ctypes
import mmap

from soaflow.infer.devices import InPlace
from soaflow.infer.tensors import Outputs
from soaflow.soa.layout import Placement
from soaflow.soa.signature import Signature
from soaflow.soa.storage import MappedBlob


def blob_in_memory(placement: Placement) -> MappedBlob:
    """Return a blob of zeros, mapped from no file; it starts at the beginning of a page."""
    memory = mmap.mmap(-1, max(1, placement.blob_bytes))
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return MappedBlob(placement, memoryview(memory)[: placement.blob_bytes], address)


def outputs_in_memory(signature: Signature, rows: int) -> Outputs:
    """Return room in memory for the outputs of so many rows, on the CPU."""
    return Outputs(signature, blob_in_memory(signature.output_layout.place(rows)), InPlace())
