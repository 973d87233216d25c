"""How many values lie where in a plane: counts in cells, drawn as a few shades.

The invariant: a picture is as large as there are filled cells, whatever the number of values. Neighbours of
one shade in a row are one rectangle, and all of a shade are one shape: no bitmap, whose bytes would depend
on the libraries of the machine.

>>> shade_of(np.array([0.0, 1e-5, 0.005, 1.0])).tolist()
[-1, 0, 2, 4]
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

from soaflow.report.style import SHADES

_SHADE_EDGES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Shares of the values in one cell, between which the shades change."""

_SHADE_NAMES = (
    "share of the values in a cell: below 0.01 %",
    "0.01 to 0.1 %",
    "0.1 to 1 %",
    "1 to 10 %",
    "10 % and more",
)

_WIDE = 13.0
"""Inches in which all explanations stand side by side."""


def shade_of(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the index of the shade for shares of the values; -1 where there are none."""
    shades = np.searchsorted(_SHADE_EDGES, shares, side="right")
    return np.where(shares > 0, shades, -1)


def draw_density(
    axes: Axes,
    counts: npt.NDArray[np.int64],
    x_edges: npt.NDArray[np.float64],
    y_edges: npt.NDArray[np.float64],
) -> None:
    """Fill the cells that hold values, darker where there are more.

    Parameters
    ----------
    axes
        To draw into; its limits stay as they are.
    counts
        Values by cell: shape `(rows, columns)`.
    x_edges, y_edges
        Of the columns, shape `(columns + 1,)`, and of the rows, shape `(rows + 1,)`.
    """
    shades = shade_of(counts / max(1, int(counts.sum())))
    for shade, colour in enumerate(SHADES):
        corners = [
            (x_edges[[left, left, right, right, left]], y_edges[[row, row + 1, row + 1, row, row]])
            for row, line in enumerate(shades == shade)
            for left, right in _runs(line)
        ]
        if corners:
            path = Path.make_compound_path(*(Path(np.column_stack(xy), closed=True) for xy in corners))
            # The thin edge hides the seams that viewers leave between neighbours.
            axes.add_patch(PathPatch(path, facecolor=colour, edgecolor=colour, linewidth=0.25, zorder=1))


def explain_shades(figure: Figure, lines: Sequence[Artist] = ()) -> None:
    """Write below the frames what the shades, and further lines with their labels, mean."""
    patches = [Patch(color=colour, label=name) for colour, name in zip(SHADES, _SHADE_NAMES, strict=True)]
    handles = [*patches, *lines]
    columns = len(handles) if figure.get_figwidth() > _WIDE else 2
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns, handlelength=1.4, columnspacing=1.2
    )


def _runs(line: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Give the first and the one past the last column of each run of filled cells."""
    changes = np.flatnonzero(np.diff(np.concatenate(([0], line.astype(np.int8), [0]))))
    return zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True)
