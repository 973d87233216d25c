"""What a route asks of a GPU through torch: streams, marks, captured calls, and whether memory ran out.

The invariant: this is all that calls `torch.cuda` on the way of a job's rows. Each stream is the job's own,
and torch's current stream and device are, after each context, what they were.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch

from soaflow.cuda_driver import CudaDriver
from soaflow.errors import DeviceError
from soaflow.failures import any_says
from soaflow.gpu_memory import says_out_of_memory
from soaflow.infer.timers import Mark

_MAY_HIDE_IT = (
    " API call failed at ",
    "was unable to find an engine to execute this computation",
    "Unable to find a valid cuDNN algorithm to run convolution",
)
"""What compiled code says of any error of its own, in a torch that keeps no more of it, and torch of a
convolution that no algorithm could do: for one of these reasons among others.
"""


class Accelerator(Protocol):
    """A device with memory of its own, whose streams have the driver's handle as `cuda_stream`.

    Attributes
    ----------
    device
        As torch names it.
    driver
        That copies to and from it.
    """

    device: torch.device
    driver: CudaDriver

    def stream(self) -> Any:
        """Return a new stream, which begins after all work that was given to the device so far."""

    def use(self, stream: Any) -> AbstractContextManager[Any]:
        """Return a context in which torch gives its work to a stream."""

    def mark(self, stream: Any) -> Mark:
        """Put a mark into a stream's queue."""

    def wait_for(self, mark: Mark, stream: Any) -> None:
        """Let a stream wait until the device has passed a mark of another."""

    def synchronize(self) -> None:
        """Wait until the device has done all it was given."""

    def captured(self, stream: Any, work: Callable[[], None]) -> Callable[[], None]:
        """Capture the work given to a stream, without doing it, and return what does it all at once."""

    def release_unused(self) -> None:
        """Give memory back to the device that torch keeps, as others than torch may need it."""

    def ran_out_of_memory(self, error: Exception) -> bool:
        """Tell whether an error since the last question came from too little memory on the device."""


class CudaAccelerator:
    """Torch's current GPU.

    Raises
    ------
    DeviceError
        If torch can use none.
    """

    def __init__(self) -> None:
        if not torch.cuda.is_available():
            raise DeviceError(
                "the job runs on cuda, and torch finds no GPU that it can use: run it on a machine with a "
                "GPU and a CUDA build of torch, or set the variant's device to cpu"
            )
        self._cuda = torch.cuda
        self._graph = torch.cuda.CUDAGraph
        self.device = torch.device("cuda", torch.cuda.current_device())
        self.driver = CudaDriver()
        self.synchronize()  # after which the device's context is the thread's, as the driver's calls want it
        self._failures = self._allocation_failures()

    def stream(self) -> Any:
        """Return a stream that waits for the current one, on which the model was loaded."""
        made = self._cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        made.wait_stream(self._cuda.current_stream(self.device))
        return made

    def use(self, stream: Any) -> AbstractContextManager[Any]:
        """Return torch's own context, which restores stream and device."""
        return self._cuda.stream(stream)

    def mark(self, stream: Any) -> Mark:
        """Record an event that keeps its time."""
        event: Any = self._cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(stream)
        made: Mark = event
        return made

    def wait_for(self, mark: Any, stream: Any) -> None:
        """Let a stream wait for an event."""
        stream.wait_event(mark)

    def synchronize(self) -> None:
        """Wait for all streams."""
        self._cuda.synchronize(self.device)

    def captured(self, stream: Any, work: Callable[[], None]) -> Callable[[], None]:
        """Capture a CUDA graph."""
        graph = self._graph()
        with self._cuda.graph(graph, stream=stream):
            work()
        replay: Callable[[], None] = graph.replay
        return replay

    def release_unused(self) -> None:
        """Empty the cache of torch's allocator."""
        self._cuda.empty_cache()

    def ran_out_of_memory(self, error: Exception) -> bool:
        """Read what the error says, and where it may hide that, ask torch's allocator whether it failed."""
        before, self._failures = self._failures, self._allocation_failures()
        return says_out_of_memory(error) or (self._failures > before and any_says(error, _MAY_HIDE_IT))

    def _allocation_failures(self) -> int:
        return int(self._cuda.memory_stats(self.device).get("num_ooms", 0))
