"""How far each variant of a model is from its reference: histograms over all its verdicts.

Variants whose histograms are the same are one line with all their names, so that none hides another.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MultipleLocator

from soaflow.report.documents import described_by, outputs_of, read_documents, units_of_outputs, variants_of
from soaflow.report.style import (
    FAINT,
    LINE_STYLES,
    colours,
    counted,
    headline,
    nothing_to_show,
    percent,
    picture,
    with_unit,
)

KINDS = ("absolute", "relative")

_FEWEST_ULP_BINS, _ULP_TICKS = 5, 12

Document = Mapping[str, Any]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Histograms:
    """Differences of one output in one variant, added over its datasets.

    Parameters
    ----------
    absolute, relative
        By bin; below the first and above the last edge count in the outermost bins. Shape `(bins,)`.
    zeros
        Absolute, and relative, differences of exactly zero.
    ulp
        By bin of the distance in units in the last place; the last one is above all edges.
    """

    absolute: Counts
    relative: Counts
    zeros: tuple[int, int]
    ulp: Counts

    @property
    def values(self) -> int:
        """Number of absolute differences."""
        return int(self.absolute.sum()) + self.zeros[0]

    @property
    def key(self) -> tuple[bytes, ...]:
        """What two variants share that are drawn as one line."""
        return *(counts.tobytes() for counts in (self.absolute, self.relative, self.ulp)), repr(
            self.zeros
        ).encode()

    def shares(self, kind: str) -> npt.NDArray[np.float64]:
        """Return the shares of the values by bin; of the differences of zero there is none."""
        counts: Counts = getattr(self, kind)
        zeros = 0 if kind == "ulp" else self.zeros[KINDS.index(kind)]
        return counts / max(1, int(counts.sum()) + zeros)


@dataclass(frozen=True, slots=True)
class Line:
    """Variants that are drawn as one line.

    Parameters
    ----------
    variants
        Their names.
    histograms
        That they all have.
    style
        Colour and dashes.
    """

    variants: tuple[str, ...]
    histograms: Histograms
    style: Mapping[str, Any]

    @property
    def label(self) -> str:
        """The names, and the share of exact values if there are some."""
        names = textwrap.fill(", ".join(self.variants), 30, break_on_hyphens=False)
        found = self.histograms
        return f"{names}\n({percent(found.zeros[0] / found.values)} exact)" if found.zeros[0] else names


def plot_differences(verdicts: Sequence[Path | str], plot: Path | str, *, model: str) -> None:
    """Draw absolute and relative differences and distances in ULP of a model's outputs, by variant.

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
        outputs = units_of_outputs(documents)
        edges = [np.array(document["histogram_edges"], float) for document in documents]
        ulp_edges = [document["ulp_edges"] for document in documents]
        lines = {item: lines_of(documents, item) for item in outputs}
        tolerances = {(item, kind): _tolerances(documents, item, kind) for item in outputs for kind in KINDS}
    with picture(plot, 16, 0.6 + 3.7 * max(1, len(outputs))) as figure:
        if not outputs:
            axes = figure.subplots()
            headline(axes, model)
            nothing_to_show(axes, "no verdicts")
            return
        grid = figure.subplots(len(outputs), 4, squeeze=False, width_ratios=(1, 1, 1, 0.62))
        for (item, unit), (absolute, relative, ulp, legend) in zip(outputs.items(), grid, strict=True):
            headline(absolute, f"{model}: {item}")
            headline(ulp, "", "against the reference: eager, float64")
            for kind, axes in zip(KINDS, (absolute, relative), strict=True):
                _draw_decades(axes, lines[item], edges[0], kind)
                _mark_tolerances(axes, tolerances[item, kind], f"{kind} tolerance")
            absolute.set_xlabel(with_unit("|value − reference|", unit))
            relative.set_xlabel("|value − reference| / |reference|")
            _draw_ulp(ulp, lines[item], ulp_edges[0])
            _explain(legend, lines[item])


def lines_of(documents: Sequence[Document], item: str) -> list[Line]:
    """Return the lines of an output, in the order in which their first variants appear."""
    variants = variants_of(documents)
    palette = colours(len(variants))
    found: dict[tuple[bytes, ...], Line] = {}
    for index, variant in enumerate(variants):
        histograms = _added(documents, variant, item)
        style = {"color": palette[index], "linestyle": LINE_STYLES[index % len(LINE_STYLES)]}
        same = found.get(histograms.key)
        found[histograms.key] = (
            Line((variant,), histograms, style)
            if same is None
            else Line((*same.variants, variant), histograms, same.style)
        )
    return list(found.values())


def _added(documents: Iterable[Document], variant: str, item: str) -> Histograms:
    chosen = [entry["differences"] for entry in outputs_of(documents, variant, item)]
    absolute, relative = (np.sum([_with_ends(entry[kind]) for entry in chosen], axis=0) for kind in KINDS)
    return Histograms(
        absolute,
        relative,
        zeros=(
            sum(int(e["absolute"]["zeros"]) for e in chosen),
            sum(int(e["relative"]["zeros"]) for e in chosen),
        ),
        ulp=np.sum([[*entry["ulp"]["counts"], entry["ulp"]["above"]] for entry in chosen], axis=0, dtype=int),
    )


def _with_ends(histogram: Document) -> Counts:
    counts = np.array(histogram["counts"], int)
    counts[0] += histogram["below"]
    counts[-1] += histogram["above"]
    return counts


def _draw_decades(axes: Axes, lines: Sequence[Line], edges: npt.NDArray[np.float64], kind: str) -> None:
    if not any(line.histograms.values for line in lines):
        nothing_to_show(axes, "no values")
        return
    shares = [line.histograms.shares(kind) for line in lines]
    occupied = np.flatnonzero(np.sum(shares, axis=0))
    if not len(occupied):
        nothing_to_show(axes, "no value differs")
        return
    for line, heights in zip(lines, shares, strict=True):
        axes.stairs(heights, edges, linewidth=1.8, **line.style)
    first, last = np.floor(edges[occupied[0]]), np.ceil(edges[occupied[-1] + 1])
    axes.set_xlim(first - 1, max(last + 1, first + 5))
    axes.set_ylim(0, 1.12 * float(np.max(shares)))
    axes.xaxis.set_major_locator(MultipleLocator(2))
    axes.xaxis.set_minor_locator(MultipleLocator(1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"$10^{{{value:.0f}}}$"))
    axes.set_ylabel("fraction of values per bin")


def _draw_ulp(axes: Axes, lines: Sequence[Line], edges: Sequence[int]) -> None:
    axes.set_xlabel("distance in ULP, at most")
    if not any(line.histograms.values for line in lines):
        nothing_to_show(axes, "no values")
        return
    shares = [line.histograms.shares("ulp") for line in lines]
    bins = max(_FEWEST_ULP_BINS, int(np.flatnonzero(np.sum(shares, axis=0))[-1]) + 1)
    for line, heights in zip(lines, shares, strict=True):
        axes.stairs(heights[:bins], np.arange(bins + 1) - 0.5, linewidth=1.8, **line.style)
    ticks = range(0, bins, 1 + bins // _ULP_TICKS)
    axes.set_xticks(ticks, [ulp_label(place, edges) for place in ticks])
    axes.minorticks_off()
    axes.set_xlim(-0.8, bins - 0.2)
    axes.set_ylim(0, 1.12 * float(np.max(shares)))
    axes.set_ylabel("fraction of values per bin")


def ulp_label(place: int, edges: Sequence[int]) -> str:
    """Return what a bin of distances is called: by the largest one, plain or as a power of two.

    >>> edges = (0, 1, 2, 4, 2048)
    >>> [ulp_label(place, edges) for place in (0, 1, 3, 4, 5)]
    ['0', '1', '4', '$2^{11}$', 'more']
    """
    if place >= len(edges):
        return "more"
    return f"{edges[place]}" if edges[place] < 1000 else f"$2^{{{edges[place].bit_length() - 1}}}$"


def _explain(axes: Axes, lines: Sequence[Line]) -> None:
    """Write in a column of its own which line is what."""
    axes.axis("off")
    axes.legend(
        handles=[Line2D([], [], label=line.label, linewidth=1.8, **line.style) for line in lines],
        title=counted(max(line.histograms.values for line in lines), "value"),
        title_fontsize="small",
        alignment="left",
        loc="upper left",
        borderaxespad=0,
        labelspacing=0.7,
    )


def _tolerances(documents: Iterable[Document], item: str, kind: str) -> list[float]:
    found = {
        float(entry["tolerance"][kind])
        for document in documents
        for entry in document["outputs"]
        if entry["item"] == item
    }
    return sorted(found - {0.0})


def _mark_tolerances(axes: Axes, tolerances: Iterable[float], name: str) -> None:
    """Draw the tolerances' own part: a value may be farther by the other part."""
    if not axes.has_data():
        return
    for place in np.log10(list(tolerances)).tolist():
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, place - 1), max(high, place + 1))
        axes.axvline(place, color=FAINT, linestyle=":", linewidth=1.4)
        axes.annotate(
            *(name, (place, 0.97)),
            xycoords=axes.get_xaxis_transform(),
            xytext=(-3, 0),
            textcoords="offset points",
            rotation=90,
            color=FAINT,
            size="x-small",
            ha="right",
            va="top",
        )
