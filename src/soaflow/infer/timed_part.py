"""The proof of a timed measurement: who worked in it, for how long, and that the work was the right one.

The invariant: every window of every candidate is looked at, outside of its time. A window with a second
thread, or with outputs that are not those of the first run, ends the measurement, which then writes nothing.
"""

import resource
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from soaflow.errors import ProofError
from soaflow.infer import process
from soaflow.infer.proof import threads_claim
from soaflow.infer.timed_calls import TimedCalls


@dataclass(frozen=True, slots=True)
class TimedPart:
    """What was seen of one candidate over its windows and its warm-up.

    Parameters
    ----------
    windows, calls
        That were looked at.
    threads_seen
        The most threads that the process had after a window.
    wall_seconds, cpu_seconds, other_threads_cpu_seconds
        Of these windows; CPU time of all threads, and of all but the calling one.
    interruptions
        How often the kernel took the CPU from the calling thread to let something else run.
    """

    windows: int = 0
    calls: int = 0
    threads_seen: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    other_threads_cpu_seconds: float = 0.0
    interruptions: int = 0

    @property
    def cpu_over_wall(self) -> float | None:
        """CPU time of all threads over wall time; about 1 for one thread that was left alone."""
        return self.cpu_seconds / self.wall_seconds if self.wall_seconds else None

    def to_mapping(self) -> dict[str, Any]:
        """Return the fields as JSON values, with the derived figure."""
        return {**asdict(self), "cpu_over_wall": self.cpu_over_wall}


class TimedWatch:
    """Looks at all windows of a measurement.

    Parameters
    ----------
    calls
        By the name of the candidate; each has made its first run.
    measurement
        For errors, such as the path that is to be written.
    on_gpu
        Names of the candidates on a GPU, whose driver may work in threads of its own.
    idle_threads
        That the process has besides the calling one, and that do nothing in the other candidates' calls:
        those of a GPU's driver.
    """

    def __init__(
        self,
        calls: Mapping[str, TimedCalls],
        measurement: str,
        *,
        on_gpu: Collection[str] = (),
        idle_threads: int = 0,
    ) -> None:
        self._calls = calls
        self._measurement = measurement
        self._on_gpu = on_gpu
        self._idle_threads = idle_threads
        self.parts = dict.fromkeys(calls, TimedPart())

    @contextmanager
    def around(self, name: str) -> Iterator[None]:
        """Spoil a candidate's outputs, let its calls run, and check what they did.

        Raises
        ------
        ProofError
            If a second thread was at work, or an output is wrong.
        """
        calls = self._calls[name]
        calls.spoil()
        interruptions = _interruptions()
        clocks = process.ProcessTimes.now()
        yield
        passed = process.ProcessTimes.now().since(clocks)
        interruptions = _interruptions() - interruptions
        before = self.parts[name]
        part = TimedPart(
            before.windows + 1,
            before.calls + calls.calls_since_spoilt,
            max(before.threads_seen, process.thread_count()),
            before.wall_seconds + passed.wall,
            before.cpu_seconds + passed.cpu,
            before.other_threads_cpu_seconds + passed.other_threads_cpu,
            before.interruptions + interruptions,
        )
        self.parts[name] = part
        try:
            calls.check()
        except ProofError as error:
            raise ProofError(f"{self._measurement} is not written, because {error}") from error
        if name in self._on_gpu:
            return
        working = part.threads_seen - self._idle_threads
        if found := threads_claim(working, part.wall_seconds, part.other_threads_cpu_seconds):
            raise ProofError(f"{self._measurement} is not written, because in calls of '{name}' {found[0]}")


def _interruptions() -> int:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
