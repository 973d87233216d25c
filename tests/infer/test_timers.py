import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soaflow.infer.timers import DeviceTimer, DeviceTimes, HostTimer, covered


def test_the_host_is_timed_without_what_is_not_the_batchs():
    timer = HostTimer()
    for uncounted in (0.0, 0.02):
        timer.start()
        time.sleep(0.02)
        timer.stop(uncounted=uncounted)
    whole, rest = timer.seconds
    assert whole >= 0.02
    assert 0 <= rest < whole


class Passed:
    """A mark that a device passed at a time, in milliseconds."""

    def __init__(self, at):
        self.at = at

    def elapsed_time(self, end_event):
        return end_event.at - self.at


def test_a_device_is_timed_from_mark_to_mark_when_it_is_asked():
    marks = iter(map(Passed, (10.0, 14.0, 14.0, 20.0, 18.0, 24.0)))
    times = DeviceTimes(Passed(5.0))
    timer = DeviceTimer(lambda: next(marks), times)
    timer.start()
    timer.stop()
    timer.start()
    timer.stop(batches=3)
    assert len(times.seconds) == 0
    timer.read()
    assert times.seconds.tolist() == pytest.approx([0.004, 0.002, 0.002, 0.002])
    assert times.busy_seconds() == pytest.approx(0.010)
    timer.start()
    timer.stop(uncounted=9.0)
    timer.read()
    assert times.seconds[-1] == pytest.approx(0.006)
    assert times.busy_seconds() == pytest.approx(0.014)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=20))
def test_what_intervals_cover_is_counted_once(pairs):
    intervals = np.array([(begin, begin + length) for begin, length in pairs], float).reshape(-1, 2)
    seconds = {second for begin, end in intervals.astype(int) for second in range(begin, end)}
    assert covered(intervals) == len(seconds)
