"""Where a model runs: on the CPU, where its rows are, or on a GPU, where they are brought in chunks.

The invariant: a place says how the rows of a run are cut, and gives the route that they take. On the CPU
nothing moves. On another device every byte of an input blob goes over once and every byte of the output blob
comes back once, whatever the batches. Torch, and what a GPU needs, are imported by the jobs that need them
alone.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from soaflow.infer.chunks import ChunkPlan
from soaflow.infer.routes import InPlaceRoute, Route, Task
from soaflow.infer.variants import Device
from soaflow.soa.layout import Layout
from soaflow.soa.tensor_library import TensorLibrary, torch_library


class Place(Protocol):
    """Where a model runs.

    Attributes
    ----------
    tensors
        The library of the tensors there.
    """

    tensors: TensorLibrary

    def plan(
        self, rows: int, batch_size: int, read: Layout, written: Layout, *, captured: bool = False
    ) -> ChunkPlan:
        """Say how the rows of a run are cut.

        Parameters
        ----------
        rows
            Of the run.
        batch_size
            Rows of a call; 0 for all.
        read, written
            The collection that the model slices, and that of its outputs.
        captured
            Whether the calls of a chunk are captured and replayed; of no effect on the CPU.
        """

    def route(self, task: Task) -> AbstractContextManager[Route]:
        """Return a context with the route of a run, of which the plan is from `plan` or a part of it."""


class InPlace:
    """The CPU: the model reads and writes the maps themselves.

    Parameters
    ----------
    tensors
        That makes the tensors; torch's by default.
    """

    def __init__(self, tensors: TensorLibrary | None = None) -> None:
        self.tensors = tensors or torch_library()

    def plan(
        self,
        rows: int,
        batch_size: int,
        read: Layout,  # noqa: ARG002
        written: Layout,  # noqa: ARG002
        *,
        captured: bool = False,  # noqa: ARG002
    ) -> ChunkPlan:
        """Return one chunk of all rows."""
        return ChunkPlan.whole(rows, batch_size)

    def route(self, task: Task) -> AbstractContextManager[Route]:
        """Return the maps as a route."""
        return nullcontext(InPlaceRoute(task, self.tensors))


def place_for(device: Device, tensors: TensorLibrary | None = None) -> Place:
    """Return the place of a variant's device.

    Parameters
    ----------
    device
        Of the variant.
    tensors
        That makes the tensors on the CPU; torch's by default, and on other devices always.

    Raises
    ------
    DeviceError
        If the device is not there.
    """
    if device is Device.CPU:
        return InPlace(tensors)
    from soaflow.infer.accelerators import CudaAccelerator  # noqa: PLC0415  for a GPU alone
    from soaflow.infer.device_place import OnDevice  # noqa: PLC0415  as above

    return OnDevice(CudaAccelerator())
