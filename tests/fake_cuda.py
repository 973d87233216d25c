"""A device of this process's own memory behind the calls of CUDA's driver, with streams as late as can be.

What is put into a stream's queue runs when somebody waits for it, and not before: a copy that nothing waits
for has not happened, and one whose memory is used again too early copies what is there by then. The model's
own work is done at once, after what was put into its stream before.
"""

import contextlib
import ctypes
import time
from collections.abc import Callable
from itertools import count
from typing import Any, ClassVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from soaflow.cuda_driver import CudaDriver
from soaflow.infer.accelerators import says_out_of_memory


class FakeStream:
    """A queue of work."""

    numbers: ClassVar = count(1)
    all: ClassVar[dict[int, "FakeStream"]] = {}

    def __init__(self) -> None:
        self.cuda_stream = next(self.numbers)
        self.queue: list[Callable[[], None]] = []
        self.done = 0
        self.all[self.cuda_stream] = self

    def add(self, work: Callable[[], None]) -> int:
        """Put work into the queue, and return how long the queue then is."""
        self.queue.append(work)
        return len(self.queue)

    def run(self, until: int | None = None) -> None:
        """Do the work up to a place in the queue."""
        stop = len(self.queue) if until is None else until
        while self.done < stop:
            self.done += 1
            self.queue[self.done - 1]()


class FakeDriver:
    """The calls of the driver that are made, and what was asked of them."""

    NOT_SUPPORTED = 801

    def __init__(self, *, refuses: Callable[[int, int, int], bool] = lambda *_: False) -> None:
        self.refuses = refuses
        self.failing = ""
        self.broken = False
        self.seconds_of_a_copy = 0.0
        self.locked: dict[int, tuple[int, int]] = {}
        self.ever_locked: list[tuple[int, int, int]] = []
        self.copies: list[tuple[str, int, int]] = []

    def cuMemHostRegister_v2(self, address, size, flags):  # noqa: N802
        if self.refuses(address.value, size.value, flags.value):
            return self.NOT_SUPPORTED
        assert address.value % 4096 == size.value % 4096 == 0
        assert address.value not in self.locked
        self.locked[address.value] = (size.value, flags.value)
        self.ever_locked.append((address.value, size.value, flags.value))
        return 0

    def cuMemHostUnregister(self, address):  # noqa: N802
        return 0 if self.locked.pop(address.value, None) and not self.broken else 1

    def cuMemcpyHtoDAsync_v2(self, device, host, size, stream):  # noqa: N802
        return self._copy("in", device.value, 0, host.value, 0, size.value, 1, stream)

    def cuMemcpyDtoHAsync_v2(self, host, device, size, stream):  # noqa: N802
        return self._copy("out", host.value, 0, device.value, 0, size.value, 1, stream)

    def cuMemcpy2DAsync_v2(self, reference, stream):  # noqa: N802
        copy = reference._obj
        kinds = (copy.srcMemoryType, copy.dstMemoryType)
        way = {(1, 2): "in", (2, 1): "out"}[kinds]
        source, target = (copy.srcHost, copy.dstDevice) if way == "in" else (copy.srcDevice, copy.dstHost)
        width, height = copy.WidthInBytes, copy.Height
        assert min(copy.srcPitch, copy.dstPitch) >= width
        return self._copy(way, target, copy.dstPitch, source, copy.srcPitch, width, height, stream)

    def cuGetErrorString(self, code, text):  # noqa: N802
        text._obj.value = b"operation not supported" if code.value == self.NOT_SUPPORTED else None
        return 0

    def _copy(self, way, target, target_pitch, source, source_pitch, width, height, stream):
        if self.failing == way or self.broken:
            return self.NOT_SUPPORTED
        self.copies.append((way, width, height))
        host = source if way == "in" else target
        last = (height - 1) * (source_pitch if way == "in" else target_pitch) + width
        assert any(page <= host and host + last <= page + size for page, (size, _) in self.locked.items()), (
            "a copy of pages that are not locked"
        )

        def work() -> None:
            time.sleep(self.seconds_of_a_copy)
            for line in range(height):
                ctypes.memmove(target + line * target_pitch, source + line * source_pitch, width)

        FakeStream.all[stream.value].add(work)
        return 0


class FakeMark:
    """A place in a stream's queue, with the time at which it was passed."""

    def __init__(self, stream: FakeStream) -> None:
        self.stream = stream
        self.time = 0.0
        self.position = stream.add(self._pass)

    def _pass(self) -> None:
        self.time = time.perf_counter()

    def synchronize(self) -> None:
        self.stream.run(self.position)

    def elapsed_time(self, end_event: "FakeMark") -> float:
        assert self.time
        assert end_event.time
        return (end_event.time - self.time) * 1000


class Recorded(TorchDispatchMode):
    """The operations that were done in its context, to be done again on the same memory."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[Any, tuple, dict, Any]] = []

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        result = operation(*arguments, **(keywords or {}))
        self.steps.append((operation, arguments, keywords or {}, result))
        return result

    def replay(self) -> None:
        for operation, arguments, keywords, result in self.steps:
            again = operation(*arguments, **keywords)
            pairs = zip(again, result, strict=True) if isinstance(result, tuple | list) else [(again, result)]
            for new, old in pairs:
                if (
                    isinstance(old, torch.Tensor)
                    and new.untyped_storage().data_ptr() != old.untyped_storage().data_ptr()
                ):
                    old.copy_(new)


class FakeAccelerator:
    """The CPU as a device with memory of its own."""

    def __init__(self, library: FakeDriver | None = None) -> None:
        self.device = torch.device("cpu")
        self.library = library or FakeDriver()
        self.driver = CudaDriver(self.library)
        self.streams: list[FakeStream] = []
        self.current: list[FakeStream] = []
        self.captures = 0
        self.releases = 0
        self.capture_fails_with: Exception | None = None

    def stream(self) -> FakeStream:
        self.streams.append(FakeStream())
        return self.streams[-1]

    @contextlib.contextmanager
    def use(self, stream: FakeStream):
        stream.run()
        self.current.append(stream)
        try:
            yield
        finally:
            self.current.pop()

    def mark(self, stream: FakeStream) -> FakeMark:
        return FakeMark(stream)

    def wait_for(self, mark: FakeMark, stream: FakeStream) -> None:
        stream.add(mark.synchronize)

    def synchronize(self) -> None:
        if self.library.broken:
            raise RuntimeError("CUDA error: device-side assert triggered\nmore")
        for stream in self.streams:
            stream.run()

    def captured(self, stream: FakeStream, work: Callable[[], None]) -> Callable[[], None]:
        assert self.current == [stream]
        if self.capture_fails_with:
            try:
                raise self.capture_fails_with
            finally:  # as torch does, when it ends the capture
                raise RuntimeError("operation failed due to a previous error during capture")
        self.captures += 1
        with Recorded() as recorded:
            work()
        return recorded.replay

    def ran_out_of_memory(self, error: Exception) -> bool:
        return says_out_of_memory(error)

    def release_unused(self) -> None:
        assert all(stream.done == len(stream.queue) for stream in self.streams)
        self.releases += 1
