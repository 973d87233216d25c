"""Times that can be compared: measured in turn in one process, so that the machine's moods hit all alike.

The invariant: candidates are timed A B C A B C ..., each for about as long, and what is quoted are ratios
of medians over the rounds of one run. A measurement whose last rounds still drift says that it is not stable.

>>> import itertools
>>> ticks = itertools.count()
>>> times = interleaved({"a": lambda: None, "b": lambda: None}, rounds=4, clock=lambda: float(next(ticks)))
>>> times["a"].median, times["a"].stable
(1.0, True)
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

ROUNDS = 15
"""Unless told otherwise; each round gives one time for each candidate."""

ROUND_SECONDS = 0.02
"""About how long one candidate is timed in one round; short calls are repeated to fill it."""

LARGEST_SPREAD = 0.1
"""Of the medians of the first and second half of the rounds, relative, in a stable measurement."""


@dataclass(frozen=True, slots=True)
class Times:
    """The seconds of one call of a candidate.

    Parameters
    ----------
    median
        Over the rounds.
    low, high
        The 16 % and 84 % quantiles over the rounds.
    calls
        That were timed.
    stable
        Whether the first half of the rounds and the second agree.
    """

    median: float
    low: float
    high: float
    calls: int
    stable: bool

    @classmethod
    def of(cls, seconds: list[float], calls: int) -> "Times":
        """Summarise the seconds of one call, a value for each round."""
        half = len(seconds) // 2
        halves = [statistics.median(part) for part in (seconds[:half] or seconds, seconds[half:])]
        several = len(seconds) > 1
        quantiles = statistics.quantiles(seconds, n=100, method="inclusive") if several else seconds * 99
        spread = abs(halves[0] - halves[1]) / min(halves)
        return cls(statistics.median(seconds), quantiles[15], quantiles[83], calls, spread <= LARGEST_SPREAD)

    def to_mapping(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


def interleaved(
    candidates: Mapping[str, Callable[[], object]],
    *,
    rounds: int = ROUNDS,
    round_seconds: float = ROUND_SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Times]:
    """Time calls in turn.

    Parameters
    ----------
    candidates
        What to call, by name. Each is called twice before anything is timed.
    rounds
        How often each gets its turn.
    round_seconds
        About how long a turn takes; a turn is at least one call.
    clock
        Seconds from any beginning.

    Returns
    -------
    dict
        The times of one call, by name.
    """
    calls: dict[str, int] = {}
    for name, call in candidates.items():
        call()
        began = clock()
        call()
        calls[name] = max(1, round(round_seconds / max(clock() - began, 1e-9)))
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            began = clock()
            for _ in range(calls[name]):
                call()
            seconds[name].append((clock() - began) / calls[name])
    return {name: Times.of(seconds[name], rounds * calls[name]) for name in candidates}
