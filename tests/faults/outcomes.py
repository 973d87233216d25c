"""Counts of faults, by stage and kind."""

from collections import Counter
from dataclasses import dataclass, field


class HarmError(AssertionError):
    """A fault did harm: a wrong file under its name, no clear sentence, or no recovery."""


def require(holds, *sentence):
    """Fail with a sentence, in tests and in the program alike."""
    if not holds:
        raise HarmError(" ".join(map(str, sentence)))


@dataclass
class Tally:
    """What became of the faults so far.

    A fault hits if the job or Snakemake was still at work; one that came too late is injected all the same.
    """

    counts: dict[tuple[str, str], Counter] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)

    def add(self, stage, fault, outcome):
        """Count a fault; the outcome is `survived`, `missed` or `lost`."""
        self.counts.setdefault((stage, fault), Counter())[outcome] += 1

    def total(self, *outcomes):
        return sum(counter[outcome] for counter in self.counts.values() for outcome in outcomes)

    @property
    def stages(self):
        return sorted({stage for stage, _ in self.counts})

    @property
    def injected(self):
        return self.total("survived", "missed", "lost")

    @property
    def hits(self):
        return self.total("survived", "lost")

    def table(self):
        """The counts in Markdown: how many hit of how many injected, by stage and kind of fault."""
        faults = list(dict.fromkeys(fault for _, fault in self.counts))
        rows = [
            ["stage", *faults, "all"],
            ["---", *["---:"] * (len(faults) + 1)],
            *([stage, *self._cells([stage], faults)] for stage in self.stages),
            ["all", *self._cells(self.stages, faults)],
        ]
        return "".join(f"| {' | '.join(row)} |\n" for row in rows)

    def _cells(self, stages, faults):
        return [self._cell(stages, [fault]) for fault in faults] + [self._cell(stages, faults)]

    def _cell(self, stages, faults):
        found = sum((self.counts.get((a, b), Counter()) for a in stages for b in faults), Counter())
        if not found:
            return ""
        lost = f", {found['lost']} lost" if found["lost"] else ""
        return f"{found['survived'] + found['lost']} of {found.total()}{lost}"
