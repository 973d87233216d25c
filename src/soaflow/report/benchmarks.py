"""What the jobs of a run cost, by rule: time, memory and what was read and written.

Snakemake measures the time of each job from start to end, and the rest by looking at its processes: at
once, then twice a second, and after a quarter of a minute every 30 s. So processor time, memory and bytes are
what the looks have seen, somewhat less than what was used, and worthless for a job of less than a second.

The invariant: what was not seen is `NA`, never 0; the sums of a rule are of the jobs that were seen.
"""

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from soaflow.errors import StorageError
from soaflow.files import write_text
from soaflow.report.documents import described_by, read_table
from soaflow.report.style import (
    FAINT,
    INK,
    PALETTE,
    counted,
    headline,
    nothing_to_show,
    percent,
    picture,
)

SHORTEST_SEEN = 1.0
"""Seconds: of a shorter job only the time counts."""

_COLUMNS = (
    *("s", "h:m:s", "max_rss", "max_vms", "max_uss", "max_pss"),
    *("io_in", "io_out", "mean_load", "cpu_time"),
)
_MISSING = ("NA", "-")
_LEAST_ROWS = 6


@dataclass(frozen=True, slots=True)
class JobCost:
    """What one job cost.

    Parameters
    ----------
    s
        Wall time in seconds.
    cpu_time
        Seconds of processor time; None if nobody saw it, as the following.
    max_rss
        Resident memory in MiB, the largest seen.
    io_in, io_out
        MiB read from and written to storage, without what the page cache had.
    """

    s: float
    cpu_time: float | None
    max_rss: float | None
    io_in: float | None
    io_out: float | None


QUANTITIES = ("s", "cpu_time", "max_rss", "io_in", "io_out")
SUMMED = ("s", "cpu_time", "io_in", "io_out")


@dataclass(frozen=True, slots=True)
class RuleCost:
    """What the jobs of a rule cost.

    Parameters
    ----------
    rule
        Its name.
    jobs
        How many the run has.
    costs
        Of those that were measured.
    """

    rule: str
    jobs: int
    costs: tuple[JobCost, ...]

    def seen(self, quantity: str) -> list[float]:
        """Return a quantity of all jobs of which it was seen."""
        values = (getattr(cost, quantity) for cost in self.costs)
        return [value for value in values if value is not None]

    def total(self, quantity: str) -> float | None:
        """Return the sum of a quantity, or None if it was seen of no job."""
        values = self.seen(quantity)
        return sum(values) if values else None

    def median(self, quantity: str) -> float | None:
        """Return the median of a quantity, or None if it was seen of no job."""
        values = self.seen(quantity)
        return statistics.median(values) if values else None

    def largest(self, quantity: str) -> float | None:
        """Return the largest value of a quantity, or None if it was seen of no job."""
        return max(self.seen(quantity), default=None)


def read_cost(path: Path | str) -> JobCost | None:
    """Read what Snakemake measured of a job, or None if it has not measured it.

    Raises
    ------
    StorageError
        If the file is not one of Snakemake's measurements of one job.
    """
    if not Path(path).exists():
        return None
    rows = read_table(path, _COLUMNS)
    if len(rows) != 1:
        raise StorageError(f"{path} has {len(rows)} measurements, not one: remove it and run its job again")
    with described_by([path]):
        (row,) = rows
        seconds = float(row["s"])
        seen = {name: None if row[name] in _MISSING else float(row[name]) for name in QUANTITIES[1:]}
        return JobCost(seconds, **(seen if seconds >= SHORTEST_SEEN else dict.fromkeys(seen)))


def costs_of(benchmarks: Mapping[str, Sequence[Path | str]]) -> list[RuleCost]:
    """Return what the rules of a run cost, that with the largest sum of times first.

    Parameters
    ----------
    benchmarks
        The files of the jobs of each rule.

    Raises
    ------
    StorageError
        If a file is not one of Snakemake's measurements.
    """
    found = []
    for rule, paths in benchmarks.items():
        costs = tuple(cost for cost in map(read_cost, paths) if cost is not None)
        found.append(RuleCost(rule, len(paths), costs))
    return sorted(found, key=lambda cost: (-(cost.total("s") or 0.0), cost.rule))


def write_table(rules: Sequence[RuleCost], path: Path | str) -> None:
    """Write a line for each rule.

    Parameters
    ----------
    rules
        In the order of the lines.
    path
        Tab-separated; times in seconds, memory and bytes in MiB, `NA` for what was not seen.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    everything = sum(rule.total("s") or 0.0 for rule in rules)
    heading = ["rule", "jobs", "measured", "seen", "share"]
    for quantity in QUANTITIES:
        heading += [f"{quantity}_{what}" for what in _aggregates(quantity)]
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(heading)
    for rule in rules:
        total = rule.total("s")
        share = None if total is None or not everything else total / everything
        cells = [rule.rule, rule.jobs, len(rule.costs), len(rule.seen("max_rss")), _cell(share, 4)]
        for quantity in QUANTITIES:
            cells += [_cell(what(rule, quantity)) for what in _aggregates(quantity).values()]
        writer.writerow(cells)
    write_text(path, text.getvalue())


def _aggregates(quantity: str) -> dict[str, Any]:
    found = {"sum": RuleCost.total, "median": RuleCost.median, "max": RuleCost.largest}
    return found if quantity in SUMMED else {name: found[name] for name in ("median", "max")}


def _cell(value: float | None, digits: int = 2) -> str:
    return "NA" if value is None else f"{value:.{digits}f}"


def summarize_benchmarks(
    benchmarks: Mapping[str, Sequence[Path | str]], table: Path | str, plot: Path | str
) -> None:
    """Put what Snakemake measured of the jobs of a run into a table and a picture.

    Parameters
    ----------
    benchmarks
        The files of the jobs of each rule; a missing one counts as not measured.
    table, plot
        To write.

    Raises
    ------
    StorageError
        If a file is not one of Snakemake's measurements.
    OutputError
        If the table or the picture cannot be written.
    """
    rules = costs_of(benchmarks)
    write_table(rules, table)
    measured = [rule for rule in rules if rule.costs]
    with picture(plot, 15, 2.2 + 0.36 * max(_LEAST_ROWS, len(measured))) as figure:
        times, memory, traffic = figure.subplots(1, 3, sharey=True, width_ratios=(6, 4, 4))
        jobs = sum(rule.jobs for rule in rules)
        headline(times, "Time", f"{counted(jobs, 'job')} of {counted(len(rules), 'rule')}")
        if not measured:
            for axes in (times, memory, traffic):
                nothing_to_show(axes, "no job was measured")
            return
        headline(memory, "Memory", "of one job")
        headline(traffic, "Storage", "all jobs")
        _draw_times(times, measured)
        _draw_memory(memory, measured)
        _draw_traffic(traffic, measured)
        times.set_yticks(range(len(measured)), [f"{rule.rule} × {rule.jobs}" for rule in measured])
        for axes in (times, memory, traffic):
            axes.tick_params(axis="y", which="both", length=0)
        times.set_ylim(len(measured) - 0.4, -0.6)


def _draw_times(axes: Axes, rules: Sequence[RuleCost]) -> None:
    places = range(len(rules))
    seconds = [rule.total("s") or 0.0 for rule in rules]
    everything = sum(seconds)
    axes.barh(places, seconds, height=0.7, color=PALETTE[0], label="from start to end")
    axes.barh(
        places,
        [rule.total("cpu_time") or 0.0 for rule in rules],
        height=0.28,
        color=PALETTE[1],
        edgecolor="white",
        hatch="//",
        label="of the processor",
    )
    for place, (rule, total) in enumerate(zip(rules, seconds, strict=True)):
        share = percent(total / everything) if everything else ""
        each = f"  {share}, {rule.median('s'):.1f} s each"
        axes.text(total, place, each, va="center", size="x-small", color=INK)
    axes.set_xlim(0, 1.45 * max(seconds))
    axes.set_xlabel("sum of the jobs' times [s]")
    _write_legend(axes, rules)


def _draw_memory(axes: Axes, rules: Sequence[RuleCost]) -> None:
    largest = [rule.largest("max_rss") for rule in rules]
    axes.barh(
        range(len(rules)), [value or 0.0 for value in largest], height=0.7, color=PALETTE[0], label="largest"
    )
    places = [place for place, rule in enumerate(rules) if rule.seen("max_rss")]
    axes.plot(
        [statistics.median(rules[place].seen("max_rss")) for place in places],
        places,
        "|",
        color=INK,
        markersize=11,
        markeredgewidth=2,
        label="median",
    )
    _write_values(axes, largest)
    axes.set_xlabel("resident memory [MiB]")
    _write_legend(axes, rules)


def _draw_traffic(axes: Axes, rules: Sequence[RuleCost]) -> None:
    largest = [rule.total("io_in") for rule in rules]
    for quantity, label, aside, colour, hatch in (
        ("io_in", "read", -0.18, PALETTE[1], "//"),
        ("io_out", "written", 0.18, PALETTE[0], ""),
    ):
        sums = [rule.total(quantity) for rule in rules]
        axes.barh(
            [place + aside for place in range(len(rules))],
            [value or 0.0 for value in sums],
            height=0.34,
            color=colour,
            edgecolor="white",
            hatch=hatch,
            label=label,
        )
        largest = [
            None if value is None or other is None else max(value, other)
            for value, other in zip(sums, largest, strict=True)
        ]
    _write_values(axes, largest)
    axes.set_xlabel("read and written [MiB]")
    _write_legend(axes, rules)


def _write_legend(axes: Axes, rules: Sequence[RuleCost]) -> None:
    above = 1.0 + 1.05 / max(_LEAST_ROWS, len(rules))
    axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, above), fontsize="x-small")


def _write_values(axes: Axes, values: Sequence[float | None]) -> None:
    for place, value in enumerate(values):
        text, colour = ("NA", FAINT) if value is None else (f"{value:.3g}", INK)
        axes.text(value or 0.0, place, f"  {text}", va="center", size="x-small", color=colour)
    axes.set_xlim(0, 1.25 * max((value for value in values if value is not None), default=1.0) or 1.0)
