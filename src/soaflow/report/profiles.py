"""Which build profile to use for how many rows of a call, from what was measured.

On the left, the time of one call by its rows, relative to the fastest profile there; in the middle, the
rows per second of a whole shard by the rows of a chunk; on the right, what follows from both. Only ratios
of one run are compared.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from soaflow.report.documents import described_by, read_documents
from soaflow.report.style import FAINT, LINE_STYLES, colours, headline, picture, plain_log_axis, short_time

_WHOLE = "0"
"""The chunk that stands for the whole shard in one call."""

_MARKERS = ("o", "s", "^", "D")


def plot_profiles(figures: Path | str, plot: Path | str) -> None:
    """Draw what was measured of the build profiles of a model, with a recommendation.

    Parameters
    ----------
    figures
        JSON that `soaflow.infer.measure` wrote.
    plot
        The picture to write.

    Raises
    ------
    StorageError
        If the file holds no such figures.
    OutputError
        If the picture cannot be written.
    """
    (document,) = read_documents([figures])
    with described_by([figures]):
        profiles = sorted(document["artifacts_sha256"])
        document = {
            **document,
            **{part: _by_rows(document[part]) for part in ("calls", "shard", "recommended")},
        }
        with picture(plot, 15, 4.6) as figure:
            left, middle, right = figure.subplots(1, 3, width_ratios=(5, 5, 5))
            _draw_calls(left, document["calls"], profiles)
            headline(left, document["model"], f"{document['dtype']}, {document['target']}")
            _draw_shard(middle, document, profiles)
            headline(middle, "Whole shard", f"{document['shard_rows']:,} rows".replace(",", " "))
            _write_recommendation(right, document)
            headline(right, "Recommended", document["cpu"])


def _by_rows(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures in the order of their rows, the whole shard last."""
    last = ("shard", _WHOLE)
    return dict(sorted(figures.items(), key=lambda pair: (pair[0] in last, len(pair[0]), pair[0])))


def _draw_calls(axes: Axes, calls: Mapping[str, Any], profiles: Sequence[str]) -> None:
    places = range(len(calls))
    for number, (profile, colour) in enumerate(zip(profiles, colours(len(profiles)), strict=True)):
        least = [min(times[name]["median"] for name in profiles) for times in calls.values()]
        of_profile = [times[profile] for times in calls.values()]
        middle = [one["median"] / best for one, best in zip(of_profile, least, strict=True)]
        below = [(one["median"] - one["low"]) / best for one, best in zip(of_profile, least, strict=True)]
        above = [(one["high"] - one["median"]) / best for one, best in zip(of_profile, least, strict=True)]
        axes.errorbar(
            [place + 0.06 * (number - 1) for place in places],
            middle,
            yerr=[[max(0.0, value) for value in side] for side in (below, above)],
            color=colour,
            marker=_MARKERS[number % len(_MARKERS)],
            linestyle=LINE_STYLES[number % len(LINE_STYLES)],
            capsize=3,
            label=profile,
        )
    axes.axhline(1, color=FAINT, linewidth=0.8, zorder=0)
    axes.set_xticks(places, list(calls))
    axes.minorticks_off()
    axes.set_xlabel("rows of one call")
    axes.set_yscale("log")
    plain_log_axis(axes.yaxis)
    axes.set_ylabel("time relative to the fastest")
    axes.legend()


def _draw_shard(axes: Axes, document: Mapping[str, Any], profiles: Sequence[str]) -> None:
    shard = document["shard"]
    places = range(len(shard))
    for number, (profile, colour) in enumerate(zip(profiles, colours(len(profiles)), strict=True)):
        rates = [document["shard_rows"] / times[profile]["median"] / 1e6 for times in shard.values()]
        axes.plot(
            places,
            rates,
            color=colour,
            marker=_MARKERS[number % len(_MARKERS)],
            linestyle=LINE_STYLES[number % len(LINE_STYLES)],
            label=profile,
        )
    axes.set_xticks(places, [chunk if chunk != _WHOLE else "all" for chunk in shard])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("rows of a chunk")
    axes.set_ylabel("million rows per second")


def _write_recommendation(axes: Axes, document: Mapping[str, Any]) -> None:
    axes.set_axis_off()
    lines = [("rows of a call", "profile", "time", "next best")]
    for rows, choice in document["recommended"].items():
        if rows == "shard":
            times = document["shard"][str(choice["chunk"])]
            label = f"shard in {choice['chunk']}s" if choice["chunk"] else "shard in one"
        else:
            times, label = document["calls"][rows], rows
        best = times[choice["profile"]]
        others = [one["median"] for name, one in times.items() if name != choice["profile"]]
        ratio = f"{min(others) / best['median']:.2f} x" if others else "–"
        lines.append(
            (label, choice["profile"], short_time(best["median"]) + ("" if best["stable"] else " *"), ratio)
        )
    if any(time.endswith("*") for _, _, time, _ in lines):
        lines.append(("* not stable: the rounds drift", "", "", ""))
    for row, line in enumerate(lines):
        for column, text in zip((0.0, 0.3, 0.58, 0.84), line, strict=True):
            axes.text(
                *(column, 0.9 - 0.13 * row, text),
                transform=axes.transAxes,
                color=FAINT if row == 0 else None,
                size="small",
                va="center",
            )
