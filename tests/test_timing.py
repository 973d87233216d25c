import itertools

import pytest

from soaflow.timing import Times, interleaved


class Machine:
    """A clock that moves only when work is done."""

    def __init__(self):
        self.now = 0.0
        self.order = []

    def work(self, name, seconds):
        def call():
            self.order.append(name)
            self.now += seconds() if callable(seconds) else seconds

        return call


def test_candidates_are_timed_in_turn():
    machine = Machine()
    candidates = {"fast": machine.work("fast", 1.0), "slow": machine.work("slow", 4.0)}
    times = interleaved(candidates, rounds=3, round_seconds=0.5, clock=lambda: machine.now)
    assert machine.order == ["fast", "fast", "slow", "slow", *["fast", "slow"] * 3]
    assert (times["fast"].median, times["slow"].median) == (1.0, 4.0)
    assert times["fast"].calls == 3
    assert times["slow"].stable


def test_short_calls_are_repeated_to_fill_a_turn():
    machine = Machine()
    times = interleaved(
        {"a": machine.work("a", 0.25)}, rounds=2, round_seconds=1.0, clock=lambda: machine.now
    )
    assert times["a"].calls == 8
    assert times["a"].median == 0.25


def test_a_slow_first_call_is_not_counted():
    machine = Machine()
    seconds = itertools.chain([100.0], itertools.repeat(1.0))
    call = machine.work("a", lambda: next(seconds))
    times = interleaved({"a": call}, rounds=5, round_seconds=1.0, clock=lambda: machine.now)
    assert (times["a"].low, times["a"].median, times["a"].high) == (1.0, 1.0, 1.0)


def test_a_drift_is_not_stable():
    assert Times.of([1.0, 1.02, 0.98, 1.01, 1.0, 1.03], 6).stable
    assert not Times.of([1.0, 1.0, 1.0, 1.3, 1.3, 1.3], 6).stable
    assert not Times.of([1.3, 1.3, 1.3, 1.0, 1.0, 1.0], 6).stable


def test_the_band_holds_the_central_68_percent():
    times = Times.of([float(value) for value in range(101)], 101)
    assert (times.low, times.median, times.high) == pytest.approx((16.0, 50.0, 84.0))
    assert times.to_mapping()["calls"] == 101
    single = Times.of([2.0], 1)
    assert (single.low, single.median, single.high, single.stable) == (2.0, 2.0, 2.0, True)
