"""How many rows a second each variant does against the rows of a call, and by what ratio to one of them.

Above, rows over the median time of a call; the band is the central 68 % of the windows. Below, the speed
relative to the base: the base's time over the variant's in a round, median and central 68 % of all rounds. A
hollow marker is of a variant that was not stable there. Dashed lines are where another variant becomes the
fastest, numbers on the line of 1 where one overtakes the base.
"""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from soaflow.report.speeds import Speeds, read_speeds
from soaflow.report.style import FAINT, INK, headline, nothing_to_show, picture, plain_log_axis, short_number
from soaflow.timing import ratio


def plot_throughput(speed: Path | str, plot: Path | str, *, base: str) -> None:
    """Draw throughput and ratios against the rows of a call, with the crossovers marked.

    Parameters
    ----------
    speed
        JSON that `soaflow.infer.speed` wrote.
    plot
        The picture to write.
    base
        The variant that ratios are quoted to.

    Raises
    ------
    StorageError
        If the file is not such a measurement.
    OutputError
        If the picture cannot be written.
    """
    speeds = read_speeds(speed)
    with picture(plot, 10, 8.2) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        headline(above, speeds.model, "one thread, in turn, outputs stored and checked")
        if not speeds.times:
            nothing_to_show(above, "no rows")
            nothing_to_show(below, "no rows")
            return
        _draw_rates(above, speeds)
        _draw_ratios(below, speeds, base)
        _mark_overtakings(below, speeds, base)
        _mark_crossovers((above, below), speeds)
        handles, labels = above.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=min(6, len(labels)))
        figure.supxlabel(speeds.notes, size="x-small", color=FAINT)


def _draw_rates(axes: Axes, speeds: Speeds) -> None:
    for name, look in speeds.looks.items():
        of_variant = {rows: times[name] for rows, times in speeds.times.items()}
        _line(axes, speeds, name, [rows / times.median for rows, times in of_variant.items()])
        axes.fill_between(
            list(of_variant),
            [rows / times.band[1] for rows, times in of_variant.items()],
            [rows / times.band[0] for rows, times in of_variant.items()],
            color=look.colour,
            alpha=0.2,
            linewidth=0,
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: short_number(value))
    axes.set_ylabel("throughput [rows/s]")


def _draw_ratios(axes: Axes, speeds: Speeds, base: str) -> None:
    axes.axhline(1, color=FAINT, linewidth=1.0, zorder=0)
    for name, look in speeds.looks.items():
        faster = {rows: ratio(times[base], times[name]) for rows, times in speeds.times.items()}
        _line(axes, speeds, name, [one.median for one in faster.values()])
        axes.fill_between(
            list(faster),
            [one.low for one in faster.values()],
            [one.high for one in faster.values()],
            color=look.colour,
            alpha=0.2,
            linewidth=0,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain_log_axis(axes.yaxis)
    rows = list(speeds.times)
    shown = [one for one, after in zip(rows, [*rows[1:], float("inf")], strict=True) if after > 1.5 * one]
    axes.set_xticks(shown, [str(one) for one in shown])
    axes.minorticks_off()
    axes.set_xlabel("rows of a call")
    axes.set_ylabel(f"speed relative to {base}")


def _mark_overtakings(axes: Axes, speeds: Speeds, base: str) -> None:
    for name, look in speeds.looks.items():
        for crossing in speeds.overtakings(name, base):
            axes.plot(crossing.rows, 1, "o", color=look.colour, markersize=13, fillstyle="none", zorder=6)
            axes.annotate(
                *(_about(crossing.rows), (crossing.rows, 1)),
                xytext=(0, -20),
                textcoords="offset points",
                ha="center",
                size="x-small",
                color=INK,
            )


def _line(axes: Axes, speeds: Speeds, name: str, values: list[float]) -> None:
    look = speeds.looks[name]
    axes.plot(
        list(speeds.times), values, color=look.colour, linestyle=look.line, marker=look.marker, label=name
    )
    for (rows, times), value in zip(speeds.times.items(), values, strict=True):
        if not times[name].stable:
            axes.plot(rows, value, look.marker, color=look.colour, markerfacecolor="white", zorder=5)


def _mark_crossovers(panels: tuple[Axes, Axes], speeds: Speeds) -> None:
    for place, crossing in enumerate(speeds.crossovers()):
        for axes in panels:
            axes.axvline(crossing.rows, color=INK, linewidth=1.0, linestyle=(0, (2, 2)), zorder=0)
        left = crossing.rows**2 > min(speeds.times) * max(speeds.times)
        at: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        panels[0].annotate(
            f"from {_about(crossing.rows)} rows\n{crossing.after} is the fastest",
            (crossing.rows, 0.04 + 0.13 * (place % 3)),
            xytext=(-5 if left else 5, 0),
            ha="right" if left else "left",
            size="x-small",
            color=INK,
            **at,
        )


def _about(rows: float) -> str:
    """Return rows with two digits.

    >>> _about(1234.5), _about(4.44)
    ('1200', '4.4')
    """
    return f"{float(f'{rows:.2g}'):g}"
