"""The time of each batch, by the host's clock or by a device's.

The invariant: a timer never makes a device wait. On a device the times of a chunk's batches are read when
the chunk is done, and only between marks that are near each other: CUDA tells them in milliseconds of
float32, which after an hour are a quarter of one apart.
"""

import time
from array import array
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import numpy as np


class Clock(StrEnum):
    """What the times of batches were read from."""

    HOST = "host"
    DEVICE = "device events"


class Mark(Protocol):
    """A point in a stream's queue, which a device passes at some time: torch's event."""

    def synchronize(self) -> None:
        """Wait until the device has passed it."""

    def elapsed_time(self, end_event: "Mark") -> float:
        """Return the milliseconds from this mark to a later one; the device has passed both."""


class Timer(Protocol):
    """Times batches one after another."""

    def start(self) -> None:
        """Note that a batch, or several that are called as one, begins."""

    def stop(self, uncounted: float = 0.0, batches: int = 1) -> None:
        """Note that it ends.

        Parameters
        ----------
        uncounted
            Seconds of the host since `start` that are not the batch's.
        batches
            That ended.
        """


class HostTimer:
    """Times what the calling thread does.

    Attributes
    ----------
    seconds
        Of each batch.
    """

    def __init__(self) -> None:
        self.seconds = array("d")  # a list would take four times as much for each of many batches
        self._started = 0.0

    def start(self) -> None:
        """Read the clock."""
        self._started = time.perf_counter()

    def stop(self, uncounted: float = 0.0, batches: int = 1) -> None:  # noqa: ARG002  one by one
        """Read the clock again."""
        self.seconds.append(time.perf_counter() - self._started - uncounted)


class DeviceTimer:
    """Times what a slot's stream does, by marks in it.

    Parameters
    ----------
    mark
        Puts a mark into the slot's stream.
    times
        Where `read` puts the times.
    """

    def __init__(self, mark: Callable[[], Mark], times: "DeviceTimes") -> None:
        self._mark = mark
        self._times = times
        self._begins: list[Mark] = []
        self._ends: list[tuple[Mark, int]] = []
        self._near, self._near_seconds = times.origin, 0.0

    def start(self) -> None:
        """Mark the beginning."""
        self._begins.append(self._mark())

    def stop(self, uncounted: float = 0.0, batches: int = 1) -> None:  # noqa: ARG002  not the device's time
        """Mark the end."""
        self._ends.append((self._mark(), batches))

    def read(self) -> None:
        """Read the times of the batches since the last reading; the device has passed their marks."""
        if self._begins:
            first = self._begins[0]
            self._near, self._near_seconds = first, self._seconds_until(first)
        for begin, (end, batches) in zip(self._begins, self._ends, strict=True):
            self._times.add(self._seconds_until(begin), begin.elapsed_time(end) / 1000, batches)
        self._begins.clear()
        self._ends.clear()

    def _seconds_until(self, mark: Mark) -> float:
        return self._near_seconds + self._near.elapsed_time(mark) / 1000


class DeviceTimes:
    """The times of all batches of a run on a device.

    Parameters
    ----------
    origin
        A mark before the first batch.

    Attributes
    ----------
    origin
        That mark.
    seconds
        Of each batch.
    """

    def __init__(self, origin: Mark) -> None:
        self.seconds = array("d")
        self.origin = origin
        self._intervals = array("d")

    def add(self, begin: float, seconds: float, batches: int) -> None:
        """Add equally long batches.

        Parameters
        ----------
        begin
            Of the first, in seconds since the origin.
        seconds
            From there to the end of the last.
        batches
            How many.
        """
        self._intervals.extend((begin, begin + seconds))
        self.seconds.extend([seconds / batches] * batches)

    def busy_seconds(self) -> float:
        """Return the time in which some batch ran, that of batches side by side once."""
        return covered(np.array(self._intervals).reshape(-1, 2))


def covered(intervals: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> float:
    """Return the length of what intervals cover together.

    Parameters
    ----------
    intervals
        Beginnings and ends, shape `(n, 2)`.

    >>> covered(np.array([[0.0, 2.0], [1.0, 3.0], [2.5, 2.75], [5.0, 6.0]]))
    4.0
    """
    if not len(intervals):
        return 0.0
    begins, ends = intervals[np.argsort(intervals[:, 0])].T
    reached = np.concatenate(([begins[0]], np.maximum.accumulate(ends)[:-1]))
    return float(np.maximum(0.0, ends - np.maximum(begins, reached)).sum())
