"""A device with its own memory as the place where a model runs.

The invariant: what is on the device at once grows with the batch, and not with the rows of the run.
"""

from contextlib import AbstractContextManager

from soaflow.infer.accelerators import Accelerator
from soaflow.infer.chunks import CHUNK_BYTES, ChunkPlan, row_bytes
from soaflow.infer.device_route import device_route
from soaflow.infer.routes import Route, Task
from soaflow.soa.layout import Layout
from soaflow.soa.tensor_library import torch_library


class OnDevice:
    """A device with its own memory.

    Parameters
    ----------
    accelerator
        The device.
    chunk_bytes
        About how many bytes of inputs or of outputs, whichever are more, a chunk has at most.
    """

    def __init__(self, accelerator: Accelerator, chunk_bytes: int = CHUNK_BYTES) -> None:
        self.tensors = torch_library()
        self._accelerator = accelerator
        self._chunk_bytes = chunk_bytes

    def plan(
        self, rows: int, batch_size: int, read: Layout, written: Layout, *, captured: bool = False
    ) -> ChunkPlan:
        """Return chunks of at most about the bytes that were asked for, in which copies and calls overlap."""
        widest = max(row_bytes(read), row_bytes(written), 1)
        return ChunkPlan.of_bytes(rows, batch_size, widest, self._chunk_bytes, captured=captured)

    def route(self, task: Task) -> AbstractContextManager[Route]:
        """Return the route through the device."""
        return device_route(self._accelerator, task)
