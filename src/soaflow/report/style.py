"""One look for all pictures: the field's style in a size for screens, safe for colour-blind readers.

The invariant: the same numbers give the same bytes. SVG files carry no date and no random names, and
their texts are drawn as paths, so they look the same where the fonts are not installed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import mplhep
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from soaflow.files import replacing

PALETTE = ("#5790fc", "#f89c20", "#e42536", "#964a8b", "#9c9ca1", "#7a21dd")
"""Six colours that colour-blind readers tell apart (M. A. Petroff, arXiv:2107.02270)."""

LARGE_PALETTE = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
"""Ten such colours, from the same source, for where six are too few."""

LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)))
"""One for each of six colours, so that lines over one another and in grey print stay apart."""

INK, FAINT = "#1f2430", "#6b7280"
"""Colours of text and of what stands back."""

PASS, WAIVED, FAIL = "#3f90da", "#717581", "#bd1f01"
"""Blue and red, which red-green blindness keeps apart; the outcome is always written too."""

SHADES = ("#d3e1fb", "#9dbcf3", "#5f8de0", "#2f5cae", "#122f63")
"""Of one blue, from few to many; their order is kept in grey print."""

_STYLE: Any = {
    **mplhep.style.CMS,
    "font.size": 13,
    "axes.linewidth": 1.1,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 7,
    "xtick.minor.size": 3.5,
    "ytick.major.size": 7,
    "ytick.minor.size": 3.5,
    "lines.linewidth": 1.8,
    "legend.fontsize": "small",
    "figure.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "soaflow",
    "savefig.dpi": 150,
}


@contextmanager
def picture(path: Path | str, width: float, height: float) -> Iterator[Figure]:
    """Give a figure in the common style; write it to `path` when the block succeeds.

    Parameters
    ----------
    path
        Ending in `.svg`, `.png` or `.pdf`.
    width, height
        In inches.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.07))
        yield figure
        dateless = {".svg": {"Date": None}, ".png": {"Software": None}, ".pdf": {"CreationDate": None}}
        with replacing(path) as temporary:
            figure.savefig(temporary, metadata=dateless.get(Path(path).suffix))


def headline(axes: Axes, left: str, right: str = "") -> None:
    """Write above the frame what is shown (bold, left) and of which rows (right)."""
    axes.text(0, 1.02, left, transform=axes.transAxes, weight="bold", ha="left", va="bottom")
    axes.text(*(1, 1.02, right), transform=axes.transAxes, color=FAINT, size="small", ha="right", va="bottom")


def nothing_to_show(axes: Axes, sentence: str) -> None:
    """Write in an empty frame why it is empty."""
    axes.text(
        *(0.5, 0.5, sentence), transform=axes.transAxes, color=FAINT, ha="center", va="center", wrap=True
    )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.minorticks_off()


def colours(count: int) -> tuple[str, ...]:
    """Return a colour for each of a number of things: all different up to ten, then from the first again.

    >>> colours(2), len(set(colours(9))), len(set(colours(25)))
    (('#5790fc', '#f89c20'), 9, 10)
    """
    palette = PALETTE if count <= len(PALETTE) else LARGE_PALETTE
    return tuple(palette[index % len(palette)] for index in range(count))


def with_unit(name: str, unit: str) -> str:
    """Return an axis label: the name, and the unit in brackets if there is one."""
    return f"{name} [{unit}]" if unit else name


def counted(count: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "row"), counted(12000, "row")
    ('1 row', '12 000 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}".replace(",", " ")


def plain_log_axis(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers at 1, 2 and 5 of each decade."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def percent(fraction: float) -> str:
    """Return a fraction as per cent that is 100 or 0 only if it is exactly so.

    >>> percent(1.0), percent(0.9999), percent(0.123), percent(1e-5)
    ('100 %', '> 99.9 %', '12.3 %', '< 0.1 %')
    """
    if 0.999 < fraction < 1:
        return "> 99.9 %"
    if 0 < fraction < 0.001:
        return "< 0.1 %"
    return f"{100 * fraction:.3g} %"
