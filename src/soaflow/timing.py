"""Times that can be compared: measured in turn in one process, so that the machine's moods hit all alike.

The invariant: candidates are timed in rounds, A B C, then C B A, then A B C ..., each for a window of about
the same time, and every call within a window is timed by itself. Rounds go on until the last windows of each
candidate agree, or the time is spent; a candidate whose windows do not agree then says that it is not stable.
What is quoted are ratios, taken round by round, of one such measurement. All windows are kept, so statistics
can be derived again.

Rounds in alternate directions put all candidates at the same mean time, so a steady drift of the machine
cancels in their ratios, as it does in weighing by double substitution.

>>> import itertools
>>> ticks = itertools.count()
>>> pace = Pace(seconds=60.0, window_seconds=1.0)
>>> times = interleaved({"a": lambda: None, "b": lambda: None}, pace, clock=lambda: float(next(ticks)))
>>> times["a"].median, times["a"].stable, ratio(times["a"], times["b"]).median
(1.0, True, 1.0)
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

from soaflow.errors import StorageError

CALL_QUANTILES = (0.0, 0.01, 0.05, 0.16, 0.25, 0.5, 0.75, 0.84, 0.9, 0.95, 0.99, 1.0)
"""At which the seconds of single calls are kept; 0.16 and 0.84 bound the central 68 %."""

_WARM_UP_SHARE = 0.25
"""Of a window: how long a window of the warm-up is."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long and how strictly candidates are timed.

    Parameters
    ----------
    seconds
        After which no further round begins, all candidates together and without their warm-up.
    window_seconds
        About how long a candidate is called in a row: calls are made until this has passed, at least one.
    warm_up_seconds
        After which the warm-up of a candidate ends, settled or not.
    least_windows
        Of each candidate, even if they take longer than `seconds`.
    windows_compared
        The last ones of a candidate, whose medians must agree; so many are needed to be stable.
    largest_spread
        From the least to the greatest of these medians, relative to their middle, that counts as agreement.
    """

    seconds: float = 2.0
    window_seconds: float = 0.02
    warm_up_seconds: float = 0.1
    least_windows: int = 3
    windows_compared: int = 5
    largest_spread: float = 0.05

    def to_mapping(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}

    def agree(self, medians: list[float]) -> bool:
        """Tell whether the last windows agree, and their middle with that of as many before them.

        Parameters
        ----------
        medians
            Seconds of one call, a value for each window.
        """
        if len(medians) < self.windows_compared:
            return False
        last = medians[-self.windows_compared :]
        before = medians[-2 * self.windows_compared : -self.windows_compared] or last
        middles = [statistics.median(before), statistics.median(last)]
        return max(spread(last), spread(middles)) <= self.largest_spread


def spread(values: list[float]) -> float:
    """Return how far values lie apart: from the least to the greatest, relative to the median."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / middle if middle > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Window:
    """Calls of one candidate in a row.

    Parameters
    ----------
    calls
        Their number.
    seconds
        Of all of them.
    median
        Of the seconds of the single calls.
    """

    calls: int
    seconds: float
    median: float


@dataclass(frozen=True, slots=True)
class Times:
    """What was measured of one candidate.

    Parameters
    ----------
    windows
        In the order of the rounds.
    call_seconds
        Of the single calls of all windows, at `CALL_QUANTILES`.
    warm_up_calls
        Before the first window, which no time counts.
    settled
        Whether two windows of the warm-up in a row agreed before its time was spent.
    stable
        Whether the windows agree, as `Pace.agree` says it.
    """

    windows: tuple[Window, ...]
    call_seconds: tuple[float, ...]
    warm_up_calls: int
    settled: bool
    stable: bool

    @property
    def calls(self) -> int:
        """Calls that were timed."""
        return sum(window.calls for window in self.windows)

    @property
    def median(self) -> float:
        """The middle one of the windows' medians, in seconds a call."""
        return statistics.median(window.median for window in self.windows)

    @property
    def mean(self) -> float:
        """Seconds of all calls over their number."""
        return sum(window.seconds for window in self.windows) / self.calls

    @property
    def band(self) -> tuple[float, float]:
        """The 16 % and 84 % quantiles of the windows' medians."""
        return central_band([window.median for window in self.windows])

    def to_mapping(self) -> dict[str, Any]:
        """Return the measurement as JSON values, with the derived figures."""
        low, high = self.band
        return {
            "windows": {
                name: [getattr(window, name) for window in self.windows] for name in Window.__slots__
            },
            "call_seconds": list(self.call_seconds),
            "warm_up_calls": self.warm_up_calls,
            "settled": self.settled,
            "stable": self.stable,
            "calls": self.calls,
            "median": self.median,
            "mean": self.mean,
            "low": low,
            "high": high,
        }

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any]) -> Self:
        """Make times from what `to_mapping` returned.

        Raises
        ------
        StorageError
            If a key is missing, or the lists do not fit each other.
        """
        try:
            windows = zip(*(entry["windows"][name] for name in Window.__slots__), strict=True)
            made = cls(
                tuple(
                    Window(int(calls), float(seconds), float(median)) for calls, seconds, median in windows
                ),
                tuple(map(float, entry["call_seconds"])),
                int(entry["warm_up_calls"]),
                bool(entry["settled"]),
                bool(entry["stable"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StorageError(f"times are damaged ({error!r}): measure them again") from error
        if not made.windows or len(made.call_seconds) != len(CALL_QUANTILES):
            raise StorageError("times lack windows or quantiles: measure them again")
        return made

    def quantile(self, share: float) -> float:
        """Return a quantile of the seconds of single calls; NaN where too few calls were timed to know it.

        Parameters
        ----------
        share
            One of `CALL_QUANTILES`. Of those between the least and the greatest call, there must have been a
            call that is ordered after the quantile's.
        """
        known = _place(share, self.calls) < self.calls - 1 or share in (0.0, 1.0)
        return self.call_seconds[CALL_QUANTILES.index(share)] if known else math.nan


@dataclass(frozen=True, slots=True)
class Ratio:
    """The time of one candidate over that of another.

    Parameters
    ----------
    median, low, high
        Over the rounds: the middle value and the 16 % and 84 % quantiles.
    stable
        Whether the times of both were stable.
    """

    median: float
    low: float
    high: float
    stable: bool


def ratio(times: Times, base: Times) -> Ratio:
    """Return the time of a call of one candidate over that of another, round by round.

    Parameters
    ----------
    times, base
        Of the same measurement, so that their windows are pairs.

    Raises
    ------
    ValueError
        If they have different numbers of windows.
    """
    pairs = zip(times.windows, base.windows, strict=True)
    ratios = [one.median / other.median for one, other in pairs]
    low, high = central_band(ratios)
    return Ratio(statistics.median(ratios), low, high, times.stable and base.stable)


def interleaved(
    candidates: Mapping[str, Callable[[], object]],
    pace: Pace | None = None,
    *,
    clock: Callable[[], float] = time.perf_counter,
    around: Callable[[str], AbstractContextManager[object]] = lambda _: nullcontext(),
) -> dict[str, Times]:
    """Time calls in turn.

    Parameters
    ----------
    candidates
        What to call, by name.
    pace
        How long and how strictly; by default that of `Pace`.
    clock
        Seconds from any beginning.
    around
        Given a candidate's name, returns a context for each of its windows and for its warm-up, whose
        beginning and end no time counts: the place to check what the calls did.

    Returns
    -------
    dict
        By name; all with the same number of windows.
    """
    pace = pace or Pace()
    warm_ups: dict[str, tuple[int, bool]] = {}
    for name, call in candidates.items():
        with around(name):
            warm_ups[name] = _warm_up(call, pace, clock)
    medians: dict[str, list[float]] = {name: [] for name in candidates}
    windows: dict[str, list[Window]] = {name: [] for name in candidates}
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    in_turn = list(candidates)
    began, rounds = clock(), 0
    while candidates and (rounds < pace.least_windows or clock() - began < pace.seconds):
        for name in in_turn:
            with around(name):
                taken = _window(candidates[name], pace.window_seconds, clock)
            windows[name].append(Window(len(taken), sum(taken), statistics.median(taken)))
            medians[name].append(windows[name][-1].median)
            seconds[name] += taken
        in_turn.reverse()
        rounds += 1
        if rounds >= pace.least_windows and all(map(pace.agree, medians.values())):
            break
    return {
        name: Times(
            tuple(windows[name]),
            call_quantiles(seconds[name]),
            *warm_ups[name],
            pace.agree(medians[name]),
        )
        for name in candidates
    }


def _warm_up(call: Callable[[], object], pace: Pace, clock: Callable[[], float]) -> tuple[int, bool]:
    """Call until two windows in a row agree; return the number of calls, and whether they came to that."""
    began = clock()
    call()
    calls, before = 1, 0.0
    while True:
        taken = _window(call, _WARM_UP_SHARE * pace.window_seconds, clock)
        calls, median = calls + len(taken), statistics.median(taken)
        if before and spread([before, median]) <= pace.largest_spread:
            return calls, True
        if clock() - began >= pace.warm_up_seconds:
            return calls, False
        before = median


def _window(call: Callable[[], object], seconds: float, clock: Callable[[], float]) -> list[float]:
    """Call until so many seconds have passed, at least once; return the seconds of each call."""
    taken = []
    began = before = clock()
    while True:
        call()
        now = clock()
        taken.append(now - before)
        if now - began >= seconds:
            return taken
        before = now


def central_band(values: list[float]) -> tuple[float, float]:
    """Return the 16 % and 84 % quantiles, interpolated between values: the central 68 %."""
    if len(values) == 1:
        return values[0], values[0]
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[15], cuts[83]


def call_quantiles(seconds: list[float]) -> tuple[float, ...]:
    """Return the seconds at `CALL_QUANTILES`, each that of a call; between two, of the slower one."""
    ordered = sorted(seconds)
    return tuple(ordered[_place(share, len(ordered))] for share in CALL_QUANTILES)


def _place(share: float, calls: int) -> int:
    """Return which of so many calls, ordered by their seconds, a quantile is."""
    return math.ceil(Fraction(str(share)) * (calls - 1))
