"""What the Linux kernel says of this process: threads, CPU time, memory, pages of a map, its age.

The invariant: every figure comes from outside the measured code (`/proc/self`, `mincore`, the CPU
clocks), so no library can hide a thread or a copy from it. Nothing here starts a thread.

>>> thread_count() >= 1, peak_resident_bytes() > 1 << 20, seconds_since_process_start() > 0
(True, True, True)
"""

import ctypes
import mmap
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

_PAGE = mmap.PAGESIZE
_PAGE_PRESENT = np.uint64(1 << 63)
_PAGEMAP_ENTRY_BYTES = 8
_PAGES_AT_ONCE = 1 << 16
_START_TIME_FIELD = 22
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 1 << 30


def thread_count() -> int:
    """Return the number of threads of this process now."""
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - at each batch: pathlib takes 4 times as long


def seconds_since_process_start() -> float:
    """Return the age of this process in seconds, to the kernel's clock tick (0.01 s).

    Source: field 22 (`starttime`) of proc_pid_stat(5), in ticks since boot.
    """
    with open("/proc/self/stat", "rb") as stream:
        after_name = stream.read().rpartition(b")")[2].split()
    started = int(after_name[_START_TIME_FIELD - 3]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def peak_resident_bytes() -> int:
    """Return the largest resident size that this process has had (`VmHWM`), in bytes."""
    return _status_bytes("VmHWM")


def resident_file_bytes() -> int:
    """Return the bytes of files, libraries included, that are mapped and resident now (`RssFile`)."""
    return _status_bytes("RssFile")


def resident_own_bytes() -> int:
    """Return the resident bytes that no file backs: heap, stacks, written copies of pages (`RssAnon`)."""
    return _status_bytes("RssAnon")


def _status_bytes(key: str) -> int:
    with open("/proc/self/status", encoding="ascii") as stream:
        for line in stream:
            name, _, value = line.partition(":")
            if name == key:
                return int(value.split()[0]) * 1024
    raise ValueError(f"/proc/self/status has no line '{key}'")


def cpu_model() -> str:
    """Return the name of the processor's model as `/proc/cpuinfo` gives it; empty where it gives none."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
        for line in stream:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return ""


@dataclass(frozen=True, slots=True)
class ProcessTimes:
    """Clocks of the process, read together, or the difference of two readings; in seconds.

    Parameters
    ----------
    wall
        Monotonic time.
    cpu
        CPU time of all threads.
    other_threads_cpu
        CPU time of all threads but the calling one.
    """

    wall: float
    cpu: float
    other_threads_cpu: float

    @classmethod
    def now(cls) -> Self:
        """Read the clocks."""
        thread, process = time.thread_time(), time.process_time()
        return cls(time.perf_counter(), process, process - thread)

    def since(self, earlier: "ProcessTimes") -> "ProcessTimes":
        """Return what has passed since an earlier reading by the same thread."""
        return ProcessTimes(
            self.wall - earlier.wall,
            self.cpu - earlier.cpu,
            max(0.0, self.other_threads_cpu - earlier.other_threads_cpu),
        )


def page_cache_bytes(address: int, size: int) -> int:
    """Return how many bytes of a mapped range lie in the page cache, whoever brought them there.

    Parameters
    ----------
    address, size
        The range in bytes; it counts by whole pages.

    Raises
    ------
    OSError
        If the range is not mapped.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    found = 0
    for first, pages in _blocks_of_pages(address, size):
        resident = np.zeros(pages, np.uint8)
        if libc.mincore(
            ctypes.c_void_p(first * _PAGE),
            ctypes.c_size_t(pages * _PAGE),
            ctypes.c_void_p(resident.ctypes.data),
        ):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        found += int(np.count_nonzero(resident & 1))
    return found * _PAGE


def touched_bytes(address: int, size: int) -> int:
    """Return how many bytes of a mapped range this process has had mapped in, by whole pages.

    That is what it touched and what the kernel mapped around it at a fault: 16 pages by default, or the
    whole folio of the page cache, of up to 2 MiB.

    Parameters
    ----------
    address, size
        The range in bytes.
    """
    found = 0
    with open("/proc/self/pagemap", "rb", buffering=0) as stream:
        for first, pages in _blocks_of_pages(address, size):
            entries = np.frombuffer(
                os.pread(stream.fileno(), pages * _PAGEMAP_ENTRY_BYTES, first * _PAGEMAP_ENTRY_BYTES),
                np.uint64,
            )
            found += int(np.count_nonzero(entries & _PAGE_PRESENT))
    return found * _PAGE


def _blocks_of_pages(address: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the first page and the number of pages of a range's parts, so that a long one takes no memory."""
    first = address // _PAGE
    end = -(-(address + size) // _PAGE) if size else first
    for begin in range(first, end, _PAGES_AT_ONCE):
        yield begin, min(_PAGES_AT_ONCE, end - begin)


def keep_freed_memory() -> bool:
    """Let the allocator keep up to 1 GiB of freed memory for the next batch.

    Without it glibc gives large buffers back after each operation, and every batch pays page faults
    for the same buffers again. It holds for the rest of the process.

    Returns
    -------
    bool
        Whether the allocator took the settings; another C library than glibc has none.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES) and mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES))
