"""How long single calls of each variant take against the rows of a call: the middle, and the rare slow ones.

One panel a variant, all with the same axes, and the medians of the others in grey behind, so that each can be
read by itself and beside the others. Quantiles are of single calls; one that too few calls were timed for is
left out.
"""

import math
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from soaflow.report.speeds import Speeds, read_speeds
from soaflow.report.style import FAINT, INK, headline, nothing_to_show, picture, short_time

_COLUMNS = 3
_RARE = ((0.9, "+", "p90"), (0.99, "x", "p99"))


def plot_latency(speed: Path | str, plot: Path | str) -> None:
    """Draw quantiles of the time of single calls against their rows, a panel a variant.

    Parameters
    ----------
    speed
        JSON that `soaflow.infer.speed` wrote.
    plot
        The picture to write.

    Raises
    ------
    StorageError
        If the file is not such a measurement.
    OutputError
        If the picture cannot be written.
    """
    speeds = read_speeds(speed)
    columns = min(_COLUMNS, len(speeds.looks))
    lines = math.ceil(len(speeds.looks) / columns)
    with picture(plot, 1.2 + 4.2 * columns, 1.2 + 3.4 * lines) as figure:
        panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flatten()
        for axes in panels[len(speeds.looks) :]:
            axes.set_axis_off()
        for place, (axes, name) in enumerate(zip(panels, speeds.looks, strict=False)):
            headline(axes, name, speeds.model if place == columns - 1 else "")
            if not speeds.times:
                nothing_to_show(axes, "no rows")
                continue
            _draw(axes, speeds, name)
            if place % columns == 0:
                axes.set_ylabel("time of one call")
            if place + columns >= len(speeds.looks):
                axes.set_xlabel("rows of a call")
                axes.tick_params(labelbottom=True)
        if speeds.times:
            figure.legend(handles=_legend(), loc="outside upper center", ncols=4)
        figure.supxlabel(speeds.notes, size="x-small", color=FAINT)


def _legend() -> list[Artist]:
    rare = [Line2D([], [], color=INK, linestyle="", marker=marker, label=label) for _, marker, label in _RARE]
    band = Patch(color=INK, alpha=0.3, linewidth=0, label="16 % to 84 %")
    return [Line2D([], [], color=INK, marker="o", label="p50"), band, *rare]


def _draw(axes: Axes, speeds: Speeds, name: str) -> None:
    for other in speeds.looks:
        if other != name:
            medians = [times[other].quantile(0.5) for times in speeds.times.values()]
            axes.plot(list(speeds.times), medians, color=FAINT, alpha=0.35, linewidth=0.9, zorder=0)
    look = speeds.looks[name]
    of_variant = {rows: times[name] for rows, times in speeds.times.items()}
    axes.fill_between(
        list(of_variant),
        [times.quantile(0.16) for times in of_variant.values()],
        [times.quantile(0.84) for times in of_variant.values()],
        color=look.colour,
        alpha=0.3,
        linewidth=0,
    )
    middle = [times.quantile(0.5) for times in of_variant.values()]
    axes.plot(list(of_variant), middle, color=look.colour, marker="o", markersize=5)
    for share, marker, _ in _RARE:
        rare = [times.quantile(share) for times in of_variant.values()]
        axes.plot(list(of_variant), rare, marker, color=look.colour, markersize=6)
    for rows, times in of_variant.items():
        if not times.stable:
            axes.plot(
                rows, times.quantile(0.5), "o", color=look.colour, markerfacecolor="white", markersize=5
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: short_time(value))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
