"""How far each variant of a model is from its reference: histograms over all its verdicts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MultipleLocator

from soaflow.report.documents import described_by, read_documents
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


@dataclass(frozen=True, slots=True)
class DifferenceHistogram:
    """Differences of one output in one variant, added over its datasets and shards.

    Parameters
    ----------
    counts
        By bin; below the first and above the last edge count in the outermost bins. Shape `(bins,)`.
    identical
        Differences of exactly zero.
    """

    counts: npt.NDArray[np.int64]
    identical: int

    @property
    def total(self) -> int:
        """Number of differences."""
        return int(self.counts.sum()) + self.identical


def plot_differences(verdicts: Sequence[Path | str], plot: Path | str, *, model: str) -> None:
    """Draw the absolute and relative differences of a model's outputs, a line for each variant.

    Parameters
    ----------
    verdicts
        JSON files of all variants, datasets and shards of the model.
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
        variants = list(dict.fromkeys(str(document["variant"]) for document in documents))
        outputs = {entry["item"]: entry["unit"] for document in documents for entry in document["outputs"]}
        edges = [np.array(document["histogram_edges"], float) for document in documents]
        drawn = {
            (item, kind): {v: _added(documents, v, item, kind) for v in variants}
            for item in outputs
            for kind in ("absolute", "relative")
        }
    with picture(plot, 11, 0.6 + 4.2 * max(1, len(outputs))) as figure:
        if not outputs:
            axes = figure.subplots()
            headline(axes, model)
            nothing_to_show(axes, "no verdicts")
            return
        frames = figure.subplots(len(outputs), 2, squeeze=False)
        for (item, unit), (left, right) in zip(outputs.items(), frames, strict=True):
            headline(left, f"{model}: {item}")
            headline(right, "", "against the reference: eager, float64")
            _draw(left, drawn[item, "absolute"], edges[0], with_unit("|value − reference|", unit))
            _draw(right, drawn[item, "relative"], edges[0], "|value − reference| / |reference|")
            _mark_tolerance(left, documents, item, "absolute")
            _mark_tolerance(right, documents, item, "relative")


def _added(documents: Iterable[Mapping[str, Any]], variant: str, item: str, kind: str) -> DifferenceHistogram:
    counts, identical = np.zeros(0, int), 0
    for document in documents:
        for entry in document["outputs"]:
            if document["variant"] != variant or entry["item"] != item:
                continue
            found = entry["differences"][kind]
            inside = np.array(found["counts"], int)
            inside[0] += found["below"]
            inside[-1] += found["above"]
            counts = inside if not len(counts) else counts + inside
            identical += int(found["zeros"])
    return DifferenceHistogram(counts, identical)


def _draw(
    axes: Axes, by_variant: Mapping[str, DifferenceHistogram], edges: npt.NDArray[np.float64], label: str
) -> None:
    if not any(found.total for found in by_variant.values()):
        nothing_to_show(axes, "no rows")
        return
    highest, occupied = 0.0, []
    palette = colours(len(by_variant))
    for index, (variant, found) in enumerate(by_variant.items()):
        share = found.counts / max(1, found.total)
        highest = max(highest, float(share.max(initial=0.0)))
        occupied += np.flatnonzero(share).tolist()
        name = f"{variant}: {percent(found.identical / max(1, found.total))} identical"
        axes.stairs(
            share,
            edges,
            label=name,
            linewidth=1.8,
            color=palette[index],
            linestyle=LINE_STYLES[index % len(LINE_STYLES)],
        )
    first, last = (edges[min(occupied)], edges[max(occupied) + 1]) if occupied else (-9.0, 0.0)
    axes.set_xlim(np.floor(first) - 1, max(np.ceil(last) + 1, np.floor(first) + 5))
    # The legend takes a line for each variant: leave that much room over the highest bin.
    axes.set_ylim(0, (highest or 1.0) * (1.15 + 0.14 * len(by_variant)))
    axes.xaxis.set_major_locator(MultipleLocator(2))
    axes.xaxis.set_minor_locator(MultipleLocator(1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"$10^{{{value:.0f}}}$"))
    axes.set_xlabel(label)
    axes.set_ylabel("fraction of values per bin")
    total = max(found.total for found in by_variant.values())
    axes.legend(loc="upper left", title=counted(total, "value"), title_fontsize="small", alignment="left")


def _mark_tolerance(axes: Axes, documents: Iterable[Mapping[str, Any]], item: str, kind: str) -> None:
    """Draw the tolerances' own part: a value may be farther by the other part."""
    found = {
        float(entry["tolerance"][kind])
        for document in documents
        for entry in document["outputs"]
        if entry["item"] == item
    }
    if not axes.has_data():
        return
    for tolerance in sorted(found - {0.0}):
        place = np.log10(tolerance)
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, place - 1), max(high, place + 1))
        axes.axvline(place, ymax=0.55, color=FAINT, linestyle=":", linewidth=1.4)
        axes.text(
            *(place, 0.56, f"{kind} tolerance"),
            transform=axes.get_xaxis_transform(),
            color=FAINT,
            size="x-small",
            ha="center",
        )
