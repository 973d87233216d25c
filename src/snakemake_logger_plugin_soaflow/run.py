"""Which jobs of a run are done, which go on, and how long the rest may take.

The invariant: the estimate is made of what was seen in this run. A job of a rule of which none has finished
is taken to be as long as the mean of all; if much of the estimate is made of such jobs it says `roughly`.
After a failure there is none, because what depends on the failed job will not run.

>>> run = Run(Counter({"train": 2, "infer": 3}))
>>> run.start(0, "infer", "Inference", now=0.0)
>>> run.finish(0, now=10.0)
>>> str(run.left(now=10.0))
'roughly 40 s left'
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

MINUTE, HOUR = 60, 3600

LARGEST_GUESS = 0.25
"""Share of the work that may be guessed for an estimate to be called `about`, not `roughly`."""


@dataclass(frozen=True, slots=True)
class Left:
    """How long a run may still take.

    Parameters
    ----------
    seconds
        As far as is known.
    guessed
        Share of them that is of rules of which no job has finished.
    """

    seconds: float
    guessed: float

    def __str__(self) -> str:
        how = "roughly" if self.guessed > LARGEST_GUESS else "about"
        return f"{how} {duration(self.seconds)} left"


@dataclass(frozen=True, slots=True)
class _Job:
    rule: str
    what: str
    since: float


@dataclass(slots=True)
class Run:
    """The jobs of a run.

    Parameters
    ----------
    unfinished
        Number of jobs of each rule that are still to finish.
    """

    unfinished: Counter[str]
    _running: dict[int, _Job] = field(init=False, default_factory=dict)
    _failed: set[int] = field(init=False, default_factory=set)
    _took: defaultdict[str, list[float]] = field(init=False, default_factory=lambda: defaultdict(list))
    _began: float | None = field(init=False, default=None)

    def start(self, number: int, rule: str, what: str, now: float) -> None:
        """Count a job as running; one that failed before is tried again."""
        self._failed.discard(number)
        self._running[number] = _Job(rule, what, now)
        self._began = now if self._began is None else self._began

    def finish(self, number: int, now: float) -> None:
        """Count a job as done."""
        job = self._running.pop(number, None)
        if job is not None:
            self._took[job.rule].append(now - job.since)
            self.unfinished[job.rule] -= 1

    def fail(self, number: int) -> None:
        """Count a job as failed."""
        self._running.pop(number, None)
        self._failed.add(number)

    @property
    def failures(self) -> int:
        """How many jobs failed and are not tried again."""
        return len(self._failed)

    @property
    def running(self) -> list[str]:
        """What runs, the longest first."""
        return [job.what for job in self._running.values()]

    def left(self, now: float) -> Left | None:
        """Return how long the run may take if as many jobs run at once as so far; None if nobody can tell."""
        done = sum(map(sum, self._took.values()))
        busy = done + sum(now - job.since for job in self._running.values())
        if self._began is None or self._failed or not self._took or not busy:
            return None
        means = {rule: sum(seconds) / len(seconds) for rule, seconds in self._took.items()}
        guess = done / sum(map(len, self._took.values()))
        waiting = self.unfinished - Counter(job.rule for job in self._running.values())
        known = sum(count * means.get(rule, 0.0) for rule, count in waiting.items())
        guessed = sum(count * guess for rule, count in waiting.items() if rule not in means)
        for job in self._running.values():
            more = max(0.0, means.get(job.rule, guess) - (now - job.since))
            known, guessed = (known + more, guessed) if job.rule in means else (known, guessed + more)
        work = known + guessed
        return Left(work * (now - self._began) / busy, guessed / work) if work else None


def duration(seconds: float) -> str:
    """Return a duration for people.

    >>> duration(7.4), duration(200), duration(7500)
    ('7 s', '3 min', '2 h 5 min')
    """
    if round(seconds) < MINUTE:
        return f"{seconds:.0f} s"
    if round(seconds / MINUTE) < HOUR // MINUTE:
        return f"{seconds / MINUTE:.0f} min"
    hours, minutes = divmod(round(seconds / MINUTE), 60)
    return f"{hours} h {minutes} min"
