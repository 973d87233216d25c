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


class PassedOnAGpu(Passed):
    """A mark that tells times as CUDA does, in float32."""

    def elapsed_time(self, end_event):
        return float(np.float32(super().elapsed_time(end_event)))


def test_an_hour_after_the_first_mark_microseconds_are_still_told():
    """Two streams take turns with chunks of 50 batches of 20 us, 30 us apart: float32 tells 250 us there."""
    hour, chunk = 3_600_000.0, 50 * 0.05
    times = DeviceTimes(PassedOnAGpu(0.0))
    begins = [[hour + number * chunk + batch * 0.05 for batch in range(50)] for number in range(8)]
    marks = [
        iter(PassedOnAGpu(at + part) for chunk in begins[slot::2] for at in chunk for part in (0, 0.02))
        for slot in (0, 1)
    ]
    timers = [DeviceTimer(lambda slot=slot: next(marks[slot]), times) for slot in (0, 1)]
    for number in range(8):
        for _ in range(50):
            timers[number % 2].start()
            timers[number % 2].stop()
        timers[number % 2].read()
    assert times.seconds.tolist() == pytest.approx([20e-6] * 400, rel=1e-4)
    assert times.busy_seconds() == pytest.approx(400 * 20e-6, rel=1e-3)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=20))
def test_what_intervals_cover_is_counted_once(pairs):
    intervals = np.array([(begin, begin + length) for begin, length in pairs], float).reshape(-1, 2)
    seconds = {second for begin, end in intervals.astype(int) for second in range(begin, end)}
    assert covered(intervals) == len(seconds)
