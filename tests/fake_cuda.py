"""A device of this process's own memory behind the calls of CUDA's driver, with streams as late as can be.

What is put into a stream's queue runs when somebody waits for it, and not before: a copy that nothing waits
for has not happened, and one whose memory is used again too early copies what is there by then.
"""

import ctypes
from collections.abc import Callable
from itertools import count
from typing import ClassVar


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
        return 0 if self.locked.pop(address.value, None) else 1

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
        if self.failing == way:
            return self.NOT_SUPPORTED
        self.copies.append((way, width, height))
        host = source if way == "in" else target
        last = (height - 1) * (source_pitch if way == "in" else target_pitch) + width
        assert any(page <= host and host + last <= page + size for page, (size, _) in self.locked.items()), (
            "a copy of pages that are not locked"
        )

        def work() -> None:
            for line in range(height):
                ctypes.memmove(target + line * target_pitch, source + line * source_pitch, width)

        FakeStream.all[stream.value].add(work)
        return 0
