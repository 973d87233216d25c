"""What the start of each variant costs: time from nothing to the first results, and memory.

On the left, the parts of a start up to the first result, stacked; the line goes from the fastest to the
slowest start. In the middle, the first three calls, which are too short to be seen beside the imports. On the
right, the memory after the third call: of files, such as libraries, which processes share, and its own.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from soaflow.report.documents import described_by, read_documents
from soaflow.report.speeds import looks_of, machine_in_words
from soaflow.report.style import (
    FAINT,
    INK,
    PALETTE,
    counted,
    headline,
    nothing_to_show,
    percent,
    picture,
    plain_log_axis,
    short_time,
)

_CALLS = ("first call", "second call", "third call")
_HATCHES = ("", "//", "..", "\\\\", "xx")
_FILLED = ("full", "left", "none")
_MEBIBYTE = 1 << 20
_AFTER_ALL = _CALLS[-1]

Start = Mapping[str, Any]


def plot_starts(starts: Path | str, plot: Path | str) -> None:
    """Draw the parts of a start, the first calls and the memory of each variant.

    Parameters
    ----------
    starts
        JSON that `soaflow.infer.starts` wrote.
    plot
        The picture to write.

    Raises
    ------
    StorageError
        If the file is not such a measurement.
    OutputError
        If the picture cannot be written.
    """
    (document,) = read_documents([starts])
    with described_by([starts]):
        by_variant: dict[str, list[Start]] = {name: document["starts"][name] for name in document["in_turn"]}
        with picture(plot, 15, 2.6 + 0.62 * max(2, len(by_variant))) as figure:
            parts, calls, memory = figure.subplots(1, 3, sharey=True, width_ratios=(6, 4, 4))
            headline(parts, document["model"], "to the first result")
            if not all(by_variant.values()):
                for axes in (parts, calls, memory):
                    nothing_to_show(axes, "no rows")
                return
            some = next(iter(by_variant.values()))
            headline(calls, "Calls", f"{some[0]['rows']} rows each")
            headline(memory, "Memory", f"median of {len(some)} starts")
            upto = document["parts"].index(_CALLS[0]) + 1
            _draw_parts(parts, by_variant, document["parts"][:upto])
            _draw_calls(calls, by_variant)
            _draw_memory(memory, by_variant)
            parts.set_yticks(range(len(by_variant)), list(by_variant))
            for axes in (parts, calls, memory):
                axes.tick_params(axis="y", which="both", length=0)
            parts.set_ylim(len(by_variant) - 0.4, -0.6)
            notes = [machine_in_words(document["machine"], document["load"]), page_cache_in_words(by_variant)]
            figure.supxlabel("; ".join(notes), size="x-small", color=FAINT)


def page_cache_in_words(by_variant: Mapping[str, Sequence[Start]]) -> str:
    """Say whether the starts were from memory or from disk.

    >>> start = {"cached": {"model": 1.0, "torch": 0.58}, "major_faults": 0}
    >>> page_cache_in_words({"aot": [start, start]})
    'started from the page cache: no page read from disk'
    >>> page_cache_in_words({"aot": [start, {"cached": {"model": 0.25, "torch": 0.58}, "major_faults": 7}]})
    'least of a model in the page cache before: 25 %; at most 7 pages of a start read from disk'
    """
    all_starts = [start for starts in by_variant.values() for start in starts]
    least = min(float(start["cached"]["model"]) for start in all_starts)
    faults = max(int(start["major_faults"]) for start in all_starts)
    if least == 1 and not faults:
        return "started from the page cache: no page read from disk"
    waited = f"at most {counted(faults, 'page')} of a start read from disk"
    return f"least of a model in the page cache before: {percent(least)}; {waited}"


def _draw_parts(axes: Axes, by_variant: Mapping[str, Sequence[Start]], parts: Sequence[str]) -> None:
    places = range(len(by_variant))
    left = [0.0] * len(by_variant)
    for number, part in enumerate(parts):
        seconds = [
            statistics.median(start["seconds"][part] for start in starts) for starts in by_variant.values()
        ]
        axes.barh(
            places,
            seconds,
            left=left,
            height=0.6,
            color=PALETTE[number],
            hatch=_HATCHES[number],
            edgecolor="white",
            label=part,
        )
        left = [begin + length for begin, length in zip(left, seconds, strict=True)]
    for place, starts in enumerate(by_variant.values()):
        totals = [sum(start["seconds"][part] for part in parts) for start in starts]
        axes.hlines(place, min(totals), max(totals), color=INK, linewidth=1.4)
        axes.text(
            max(*totals, left[place]),
            place,
            f"  {short_time(statistics.median(totals))}",
            va="center",
            size="small",
        )
    axes.set_xlim(
        0,
        1.3
        * max(
            max(sum(start["seconds"][part] for part in parts) for start in starts)
            for starts in by_variant.values()
        ),
    )
    axes.set_xlabel("time since the start of the process [s]")
    axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1.08), fontsize="x-small")


def _draw_calls(axes: Axes, by_variant: Mapping[str, Sequence[Start]]) -> None:
    looks = looks_of(list(by_variant))
    for place, (name, starts) in enumerate(by_variant.items()):
        axes.axhline(place, color=FAINT, linewidth=0.6, alpha=0.35, zorder=0)
        for call, filled in zip(_CALLS, _FILLED, strict=True):
            milliseconds = [1e3 * start["seconds"][call] for start in starts]
            axes.hlines(
                place, min(milliseconds), max(milliseconds), color=looks[name].colour, alpha=0.4, linewidth=6
            )
            axes.plot(
                statistics.median(milliseconds),
                place,
                "o",
                color=looks[name].colour,
                fillstyle=filled,
                markersize=9,
            )
    for call, filled in zip(_CALLS, _FILLED, strict=True):
        axes.plot([], [], "o", color=INK, fillstyle=filled, label=call.removesuffix(" call"))
    axes.set_xscale("log")
    plain_log_axis(axes.xaxis)
    axes.set_xlabel("time of a call [ms]")
    axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1.08), fontsize="x-small")


def _draw_memory(axes: Axes, by_variant: Mapping[str, Sequence[Start]]) -> None:
    places = range(len(by_variant))
    left = [0.0] * len(by_variant)
    for key, label, colour, hatch in (
        ("file_bytes", "of files, shared", PALETTE[0], ""),
        ("own_bytes", "its own", PALETTE[1], "//"),
    ):
        sizes = [
            statistics.median(start["memory"][_AFTER_ALL][key] for start in starts) / _MEBIBYTE
            for starts in by_variant.values()
        ]
        axes.barh(
            places, sizes, left=left, height=0.6, color=colour, hatch=hatch, edgecolor="white", label=label
        )
        left = [begin + length for begin, length in zip(left, sizes, strict=True)]
    peaks = [
        statistics.median(start["peak_resident_bytes"] for start in starts) / _MEBIBYTE
        for starts in by_variant.values()
    ]
    axes.plot(peaks, places, "|", color=INK, markersize=16, markeredgewidth=2, label="peak")
    for place, peak in enumerate(peaks):
        axes.text(peak, place, f"  {peak:.0f}", va="center", size="small")
    axes.set_xlim(0, 1.25 * max(peaks))
    axes.set_xlabel("resident memory [MiB]")
    axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1.08), fontsize="x-small")
