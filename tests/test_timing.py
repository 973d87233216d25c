"""Times by a clock that moves only when work is done: nothing here is timed."""

import contextlib
import itertools
import math

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soaflow.errors import StorageError
from soaflow.timing import (
    CALL_QUANTILES,
    Pace,
    Times,
    Window,
    call_quantiles,
    central_band,
    interleaved,
    ratio,
    spread,
)

PACE = Pace(seconds=1000.0, window_seconds=10.0, warm_up_seconds=50.0)


class Machine:
    """A clock that moves only when work is done, and faster or slower as it drifts."""

    def __init__(self, drift=0.0):
        self.now = 0.0
        self.order = []
        self.drift = drift

    def work(self, name, seconds):
        taken = iter(seconds) if not isinstance(seconds, float) else itertools.repeat(seconds)

        def call():
            self.order.append(name)
            self.now += next(taken) * (1 + self.drift * self.now)

        return call

    def time(self, pace=PACE, **candidates):
        made = {name: self.work(name, seconds) for name, seconds in candidates.items()}
        return interleaved(made, pace, clock=lambda: self.now)


def turns(order):
    return "".join(name for name, _ in itertools.groupby(order))


def test_candidates_are_timed_in_turn_and_back():
    machine = Machine()
    times = machine.time(a=1.0, b=4.0, c=10.0)
    # The warm-up of each first; two turns that meet are one group.
    assert turns(machine.order) == "abc" + "abcbabcbabc"
    assert (times["a"].median, times["b"].median, times["c"].median) == (1.0, 4.0, 10.0)
    assert [window.calls for window in times["b"].windows] == [3] * 5
    assert all(one.stable and one.settled for one in times.values())


def test_measuring_stops_when_all_agree_and_goes_on_while_one_does_not():
    machine = Machine()
    restless = itertools.chain([30.0, 10.0, 20.0] * 6, itertools.repeat(15.0))
    times = machine.time(steady=10.0, restless=restless)
    assert times["restless"].stable
    assert len(times["restless"].windows) == len(times["steady"].windows) > PACE.windows_compared


def test_a_candidate_that_never_agrees_is_unstable_when_the_time_is_spent():
    machine = Machine()
    times = machine.time(steady=10.0, restless=itertools.cycle([10.0, 20.0, 40.0]))
    assert times["steady"].stable
    assert not times["restless"].stable
    assert machine.now == pytest.approx(PACE.seconds, rel=0.2)


def test_a_drifting_clock_is_unstable_and_the_ratio_is_not_touched():
    times = Machine(drift=1e-3).time(a=10.0, b=20.0)
    assert not times["a"].stable
    assert not times["b"].stable
    assert times["a"].median > 11.0
    assert ratio(times["b"], times["a"]).median == pytest.approx(2.0, rel=0.02)


def test_a_drift_too_slow_for_the_last_windows_is_seen_beside_those_before():
    slow = [10.0 * 1.011**number for number in range(20)]
    assert spread(slow[-PACE.windows_compared :]) < PACE.largest_spread
    assert not PACE.agree(slow)
    assert PACE.agree([10.0] * 20)
    assert PACE.agree([30.0] * 20 + [10.0] * 10), "what settled long ago is no drift"


def test_two_of_five_windows_are_not_enough_to_be_stable():
    machine = Machine()
    times = machine.time(Pace(seconds=1.0, window_seconds=10.0, warm_up_seconds=5.0), a=100.0)
    assert len(times["a"].windows) == Pace().least_windows
    assert not times["a"].stable


def test_a_call_that_is_slow_once_in_a_hundred_shows_in_p99_alone():
    machine = Machine()
    hundred = [1.0] * 99 + [30.0]
    pace = Pace(seconds=1e6, window_seconds=3 * sum(hundred))
    times = machine.time(pace, rare=itertools.cycle(hundred), steady=1.0)
    shown = [times["rare"].quantile(share) for share in (0.5, 0.84, 0.9, 0.95, 0.99)]
    assert shown == pytest.approx([1.0, 1.0, 1.0, 1.0, 30.0])
    assert times["steady"].quantile(0.99) == 1.0
    assert times["rare"].stable, "the medians of the windows do not see it"


def test_a_quantile_is_not_told_of_too_few_calls():
    few = Times((Window(50, 5.0, 0.1),), (0.1,) * len(CALL_QUANTILES), 3, True, True)
    assert few.quantile(0.9) == 0.1
    assert math.isnan(few.quantile(0.99))


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=300))
def test_quantiles_of_calls_are_those_of_a_slow_sort(seconds):
    """The least call that at least this share of the others is not slower than, in exact arithmetic."""
    kept = Times((Window(len(seconds), sum(seconds), 1.0),), call_quantiles(seconds), 1, True, True)
    ordered, others = sorted(seconds), len(seconds) - 1
    for share in CALL_QUANTILES:
        exact = mpmath.mpf(str(share)) * others
        place = next(place for place in range(len(seconds)) if place >= exact - mpmath.mpf(10) ** -12)
        found = kept.quantile(share)
        if share in (0.0, 1.0) or place < others:
            assert found == ordered[place]
        else:
            assert math.isnan(found)


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=60))
def test_the_central_band_is_that_of_exact_arithmetic(values):
    ordered = [mpmath.mpf(value) for value in sorted(values)]
    for found, share in zip(central_band(values), ("0.16", "0.84"), strict=True):
        place = mpmath.mpf(share) * (len(values) - 1)
        below = int(mpmath.floor(place + mpmath.mpf(10) ** -12))
        above = min(below + 1, len(values) - 1)
        exact = ordered[below] + (place - below) * (ordered[above] - ordered[below])
        assert found == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize(("share", "calls"), [(0.9, 11), (0.99, 101), (0.5, 3), (0.95, 21)])
def test_a_quantile_needs_a_call_after_it(share, calls):
    for number, known in ((calls, True), (calls - 1, False)):
        seconds = [float(place) for place in range(number)]
        times = Times((Window(number, 1.0, 1.0),), call_quantiles(seconds), 1, True, True)
        found = times.quantile(share)
        assert (found < max(seconds)) if known else math.isnan(found)


def test_slow_first_calls_are_warm_up():
    machine = Machine()
    patient = Pace(seconds=1000.0, window_seconds=10.0, warm_up_seconds=500.0)
    times = machine.time(patient, a=itertools.chain([100.0, 30.0, 20.0], itertools.repeat(10.0)))
    assert times["a"].settled
    assert times["a"].call_seconds == (10.0,) * len(CALL_QUANTILES)
    assert times["a"].warm_up_calls == 5


def test_a_warm_up_that_does_not_settle_ends():
    machine = Machine()
    times = machine.time(a=(1.1**number for number in itertools.count()))
    assert not times["a"].settled


def test_what_is_around_a_window_is_not_timed():
    machine, entered = Machine(), []

    @contextlib.contextmanager
    def around(name):
        entered.append(name)
        machine.now += 77.0
        yield
        machine.now += 77.0

    times = interleaved({"a": machine.work("a", 10.0)}, PACE, clock=lambda: machine.now, around=around)
    assert (times["a"].median, times["a"].call_seconds[-1]) == (10.0, 10.0)
    assert len(entered) == 1 + len(times["a"].windows)


def test_ratios_are_of_pairs_and_need_both_to_be_stable():
    def times(medians, *, stable=True):
        windows = tuple(Window(1, median, median) for median in medians)
        return Times(windows, (1.0,) * len(CALL_QUANTILES), 1, True, stable)

    # The machine slows down to a half; the ratio of each round stays.
    found = ratio(times([2.0, 2.0, 4.0, 4.0]), times([1.0, 1.0, 2.0, 2.0], stable=False))
    assert (found.low, found.median, found.high, found.stable) == (2.0, 2.0, 2.0, False)
    with pytest.raises(ValueError, match="zip"):
        ratio(times([1.0]), times([1.0, 2.0]))


def test_times_are_written_and_read_back():
    times = Machine().time(a=3.0)["a"]
    assert Times.from_mapping(times.to_mapping()) == times
    assert times.to_mapping()["calls"] == sum(window.calls for window in times.windows)
    assert (times.mean, times.band) == (3.0, (3.0, 3.0))


@pytest.mark.parametrize(
    "change",
    [
        {"windows": {"calls": [1], "seconds": [], "median": []}},
        {"windows": {"calls": [], "seconds": [], "median": []}},
        {"call_seconds": [1.0]},
        {"stable": None, "windows": None},
    ],
)
def test_damaged_times_are_refused(change):
    entry = Machine().time(a=3.0)["a"].to_mapping()
    with pytest.raises(StorageError, match="measure them again"):
        Times.from_mapping(entry | change)


def test_no_candidates_have_no_times():
    assert interleaved({}, PACE) == {}
