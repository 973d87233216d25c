"""How large the differences are at each magnitude of the reference, for every variant of a model.

Both axes are decades. What is exactly zero has a strip of its own, left of and below the decades: there are
the values whose reference is zero, and those that do not differ.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter

from soaflow.report.density import draw_density
from soaflow.report.documents import described_by, outputs_of, read_documents, units_of_outputs, variants_of
from soaflow.report.panels import variant_panels
from soaflow.report.style import FAIL, PALETTE, counted, headline, nothing_to_show, with_unit

_HEIGHT = 2.6
"""Of a frame, in inches."""

_GAP, _STRIP = 0.25, 0.5
"""Between the strip of zeros and the decades, and width of the strip, in decades."""

_MOST_TICKS = 6

_TOLERANCE: dict[str, Any] = {"color": FAIL, "linestyle": ":", "linewidth": 1.6}
_ROUNDING: dict[str, Any] = {"color": PALETTE[1], "linestyle": "--", "linewidth": 1.6}

Document = Mapping[str, Any]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Decades:
    """An axis of decades with a strip for exactly zero.

    Parameters
    ----------
    first, last
        Numbers of the bins between which values are, as the file counts them: 1 for below the first edge.
    edges
        Of the strip, the gap and the bins, in log10; the strip's are left of the decades.
    zero
        Whether a value is exactly zero, so that the strip is drawn.
    """

    first: int
    last: int
    edges: npt.NDArray[np.float64]
    zero: bool

    @classmethod
    def of(cls, numbers: Iterable[int], file_edges: npt.NDArray[np.float64]) -> Self:
        """Return the axis that shows bins of these numbers.

        Parameters
        ----------
        numbers
            Of the bins that hold values: 0 for zero, 1 for below the first edge, then the bins, then above.
        file_edges
            Of the bins, in log10.
        """
        found = set(numbers)
        occupied = found - {0} or {len(file_edges) // 2}
        first, last = min(occupied), max(occupied)
        width = file_edges[1] - file_edges[0]
        # Below the first and above the last edge is drawn as a bin of the common width.
        all_edges = np.concatenate(([file_edges[0] - width], file_edges, [file_edges[-1] + width]))
        edges = all_edges[first - 1 : last + 1]
        strip = edges[0] - _GAP - _STRIP, edges[0] - _GAP
        return cls(first, last, np.concatenate((strip, edges)), 0 in found)

    def place(self, number: int) -> int:
        """Return the index between `edges` of a bin's number."""
        return number - self.first + 2 if number else 0

    def label(self, axis: Axis) -> None:
        """Write powers of ten at the decades, and 0 at the strip."""
        low, high = self.edges[2], self.edges[-1]
        step = 1 + int((high - low) // _MOST_TICKS)
        ticks = [
            float(power) for power in range(int(np.ceil(low)), int(np.floor(high)) + 1) if power % step == 0
        ]
        zero = [float(self.edges[:2].mean())] if self.zero else []
        axis.set_major_locator(FixedLocator([*zero, *ticks]))
        axis.set_minor_locator(FixedLocator(np.arange(np.ceil(low), np.floor(high) + 1).tolist()))
        axis.set_major_formatter(
            FuncFormatter(lambda place, _: "0" if place in zero else f"$10^{{{place:.0f}}}$")
        )

    @property
    def limits(self) -> tuple[float, float]:
        """Return from where to where the axis goes."""
        return float(self.edges[0 if self.zero else 2] - _GAP / 2), float(self.edges[-1] + _GAP / 2)


@dataclass(frozen=True, slots=True)
class Guide:
    """A straight line that differences are held against: `absolute + relative * |reference|`.

    Parameters
    ----------
    absolute, relative
        In the output's unit, and a share of the reference.
    style
        Colour and dashes.
    """

    absolute: float
    relative: float
    style: Mapping[str, Any]

    def at(self, places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the line in log10 at magnitudes in log10."""
        with np.errstate(divide="ignore"):
            heights: npt.NDArray[np.float64] = np.log10(self.absolute + self.relative * 10.0**places)
        return heights


def plot_magnitudes(verdicts: Sequence[Path | str], plot: Path | str, *, model: str) -> None:
    """Draw the absolute differences of a model's outputs by the magnitude of the reference.

    Parameters
    ----------
    verdicts
        JSON files of all variants and datasets of the model.
    plot
        The picture to write.
    model
        Its name.

    Raises
    ------
    StorageError
        If a file is not a verdict.
    OutputError
        If the picture cannot be written.
    """
    documents = read_documents(verdicts)
    with described_by(verdicts):
        variants, outputs = variants_of(documents), units_of_outputs(documents)
        edges = [
            np.array(entry["differences"]["by_magnitude"]["edges"], float)
            for document in documents
            for entry in document["outputs"]
        ]
        entries = {
            (item, variant): outputs_of(documents, variant, item) for item in outputs for variant in variants
        }
        cells = {key: _added(found) for key, found in entries.items()}
        guides = {key: guides_of(found) for key, found in entries.items()}
    with variant_panels(
        plot, model, list(outputs), variants, heights=(_HEIGHT,), lines=_explained()
    ) as panels:
        for item, unit in outputs.items():
            known = [cell for variant in variants for cell in cells[item, variant]]
            across = Decades.of((cell[0] for cell in known), edges[0])
            reached = [guide for variant in variants for guide in guides[item, variant]]
            tops = [float(guide.at(across.edges[-1:])[0]) for guide in reached]
            numbers = np.searchsorted(edges[0], [top for top in tops if np.isfinite(top)], side="right") + 1
            up = Decades.of([*(cell[1] for cell in known), *numbers.tolist()], edges[0])
            for variant in variants:
                (axes,) = panels[item, variant]
                found = cells[item, variant]
                headline(axes, "", counted(sum(found.values()), "value"))
                if not found:
                    nothing_to_show(axes, "no finite values")
                    continue
                _draw(axes, found, across, up)
                _draw_guides(axes, guides[item, variant], across)
                axes.set_xlabel(with_unit("|reference|", unit))
                axes.set_ylabel(with_unit("|value − reference|", unit))


def guides_of(entries: Sequence[Document]) -> list[Guide]:
    """Return the tolerances of an output, and what rounding the reference to its type may cost."""
    tolerances = {(float(e["tolerance"]["absolute"]), float(e["tolerance"]["relative"])) for e in entries}
    dtypes = {str(e["dtype"]) for e in entries if np.dtype(e["dtype"]).kind == "f"}
    return [
        *(Guide(*tolerance, _TOLERANCE) for tolerance in sorted(tolerances) if any(tolerance)),
        *(Guide(0.0, float(np.finfo(dtype).eps) / 2, _ROUNDING) for dtype in sorted(dtypes)),
    ]


def _explained() -> list[Line2D]:
    names = {"tolerance": _TOLERANCE, "the most that rounding to the output's type costs": _ROUNDING}
    return [Line2D([], [], label=name, **style) for name, style in names.items()]


def _added(entries: Iterable[Document]) -> dict[tuple[int, int], int]:
    """Return the counts over all datasets, by number of the magnitude and of the difference."""
    counts: dict[tuple[int, int], int] = {}
    for entry in entries:
        for magnitude, difference, count in entry["differences"]["by_magnitude"]["cells"]:
            place = int(magnitude), int(difference)
            counts[place] = counts.get(place, 0) + int(count)
    return counts


def _draw(axes: Axes, found: Mapping[tuple[int, int], int], across: Decades, up: Decades) -> None:
    counts: Counts = np.zeros((len(up.edges) - 1, len(across.edges) - 1), np.int64)
    for (magnitude, difference), count in found.items():
        counts[up.place(difference), across.place(magnitude)] = count
    draw_density(axes, counts, across.edges, up.edges)
    for axis, decades in ((axes.xaxis, across), (axes.yaxis, up)):
        decades.label(axis)
    axes.set_xlim(*across.limits)
    axes.set_ylim(*up.limits)


def _draw_guides(axes: Axes, guides: Sequence[Guide], across: Decades) -> None:
    places = np.linspace(across.edges[2], across.limits[1], 40)
    for guide in guides:
        axes.plot(places, guide.at(places), zorder=2, **guide.style)
