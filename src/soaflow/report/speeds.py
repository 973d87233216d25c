"""What a measurement of speed says, ready to be drawn: times by variant and rows, and where lines cross.

The invariant: variants are compared by ratios taken round by round, and a crossover is told only where the
ratios on both of its sides are stable and their whole bands tell a lead, so that noise makes none.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from textwrap import fill
from typing import Any

from soaflow.report.documents import described_by, read_documents
from soaflow.report.gpu_gain import wins_from
from soaflow.report.style import LINE_STYLES, colours
from soaflow.timing import Times, ratio

LEAST_LEAD = 0.05
"""By which a variant must be faster for it to be told: windows that agree differ by as much."""

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")

_NOTE_WIDTH = 130
"""Letters in a line of the notes, as many as fit under the pictures."""


@dataclass(frozen=True, slots=True)
class Look:
    """How one variant is drawn, in all pictures of a measurement."""

    colour: str
    marker: str
    line: Any


@dataclass(frozen=True, slots=True)
class Crossover:
    """Where another variant becomes the fastest one.

    Parameters
    ----------
    rows
        Of a call, interpolated between two batch sizes.
    before, after
        The fastest variant below and above.
    """

    rows: float
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Speeds:
    """A measurement of speed.

    Parameters
    ----------
    model
        Its name.
    machine
        What it was measured on and what else ran there, in words.
    times
        By rows of a call, in rising order, then by variant.
    looks
        Of each variant, in the order of the measurement.
    devices
        Of each variant: `"cpu"` or `"cuda"`.
    energy
        By rows and by variant, where it was measured: what `soaflow.energy.Energy` has.
    """

    model: str
    machine: str
    times: Mapping[int, Mapping[str, Times]]
    looks: Mapping[str, Look]
    devices: Mapping[str, str]
    energy: Mapping[int, Mapping[str, Mapping[str, Any]]]

    @property
    def notes(self) -> str:
        """What a reader must know beside the picture: the machine, the GPU's gain, what was not stable."""
        return "\n".join(filter(None, [self.machine, self._gain_of_the_gpu(), self._unstable()]))

    def fastest_on(self, device: str) -> dict[int, float]:
        """Return the seconds of a call of the fastest variant on a device, by rows; empty without one."""
        names = [name for name, found in self.devices.items() if found == device]
        if not names:
            return {}
        return {rows: min(times[name].median for name in names) for rows, times in self.times.items()}

    def _gain_of_the_gpu(self) -> str:
        cpu, gpu = self.fastest_on("cpu"), self.fastest_on("cuda")
        if not cpu or not gpu:
            return ""
        rows = wins_from(cpu, gpu)
        if rows is None:
            return f"the CPU is the faster one up to the {max(cpu)} rows of a call that were measured"
        least = "any number of" if rows <= min(cpu) else f"about {float(format(rows, '.2g')):g}"
        return f"the GPU is faster than the CPU from {least} rows a call, transfers included"

    def _unstable(self) -> str:
        listed = []
        for name in self.looks:
            rows = [str(rows) for rows, times in self.times.items() if not times[name].stable]
            if rows:
                where = f"{', '.join(rows)} rows" if len(rows) < len(self.times) else "all rows"
                listed.append(f"{name} at {where}")
        return fill(f"hollow, unstable: {'; '.join(listed)}", _NOTE_WIDTH) if listed else ""

    def crossovers(self) -> list[Crossover]:
        """Return where the fastest variant becomes another, from few rows to many."""
        found: list[Crossover] = []
        fastest = ""
        for times in self.times.values():
            best = min(times, key=lambda name: times[name].median)
            if not fastest:
                fastest = best
            elif best != fastest and _surely_faster(times[best], times[fastest]):
                found += self.overtakings(best, fastest)[-1:]
                fastest = best
        return found

    def overtakings(self, one: str, other: str) -> list[Crossover]:
        """Return where one of two variants becomes the faster one, from few rows to many."""
        found: list[Crossover] = []
        leader, since = "", 0
        for rows, times in self.times.items():
            for ahead, behind in ((one, other), (other, one)):
                if _surely_faster(times[ahead], times[behind]):
                    if leader == behind:
                        found.append(Crossover(self._meeting(one, other, since, rows), behind, ahead))
                    leader, since = ahead, rows
        return found

    def _meeting(self, one: str, other: str, low: int, high: int) -> float:
        """Return the rows at which two variants are as fast as each other, on a line between logarithms."""
        leads = [
            (rows, math.log(ratio(times[one], times[other]).median))
            for rows, times in self.times.items()
            if low <= rows <= high
        ]
        (low, before), (high, after) = next(
            pair for pair in pairwise(leads) if pair[0][1] * leads[0][1] > 0 >= pair[1][1] * leads[0][1]
        )
        share = before / (before - after)
        return math.exp(math.log(low) + share * (math.log(high) - math.log(low)))


def _surely_faster(one: Times, other: Times) -> bool:
    found = ratio(one, other)
    return found.stable and found.high < 1 - LEAST_LEAD


def read_speeds(path: Path | str) -> Speeds:
    """Read a measurement of speed.

    Parameters
    ----------
    path
        JSON that `soaflow.infer.speed` wrote.

    Raises
    ------
    StorageError
        If it is no such file.
    """
    (document,) = read_documents([path])
    with described_by([path]):
        names = [str(name) for name in document["in_turn"]]
        return Speeds(
            str(document["model"]),
            machine_in_words(document["machine"], document["load"]),
            {
                int(entry["rows"]): {name: Times.from_mapping(entry["times"][name]) for name in names}
                for entry in document["by_rows"]
            },
            looks_of(names),
            {name: str(document["variants"][name]["device"]) for name in names},
            {int(entry["rows"]): entry["energy"] for entry in document["by_rows"]},
        )


def looks_of(names: Sequence[str]) -> dict[str, Look]:
    """Return how each variant is drawn."""
    return {
        name: Look(colour, _MARKERS[place % len(_MARKERS)], LINE_STYLES[place % len(LINE_STYLES)])
        for place, (name, colour) in enumerate(zip(names, colours(len(names)), strict=True))
    }


def machine_in_words(machine: Mapping[str, Any], load: Mapping[str, Any]) -> str:
    """Say in one line what was measured on, and whether the measurement had the machine to itself.

    >>> machine = {"cpu": "Test CPU (x86-64-v4)", "cores": 2, "virtual": True}
    >>> machine_in_words(machine, {"others_cores": 0.94, "stolen_seconds": 0.0, "wall_seconds": 10.0})
    'Test CPU (x86-64-v4), virtual; other work kept 0.9 of 2 cores busy'
    """
    where = f"{machine['cpu']}{', virtual' if machine['virtual'] else ''}"
    others, stolen = float(load["others_cores"]), float(load["stolen_seconds"]) / float(load["wall_seconds"])
    beside = f"other work kept {others:.1f} of {machine['cores']} cores busy"
    neighbours = f", {stolen:.0%} stolen by the host" if stolen >= 0.01 else ""
    return f"{where}; {beside}{neighbours}"
