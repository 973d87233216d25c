"""Each value against its reference, and what is between the two, for every variant of a model.

The residuals of a variant reach to the next of 1, 2 or 5 times a power of ten, so variants that are
equally far away have frames of one size, and one that is not is told by its axis.

>>> reach_of(3.2e-6), reach_of(5e-3), reach_of(0.0)
(5e-06, 0.005, 1.0)
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from soaflow.report.density import draw_density
from soaflow.report.documents import described_by, read_documents
from soaflow.report.pairs import (
    COLUMNS,
    PARITY_ROWS,
    RESIDUAL_ROWS,
    Counts,
    Extent,
    Frame,
    counts_of,
    extent_of,
    read_shards,
)
from soaflow.report.panels import variant_panels
from soaflow.report.style import FAIL, FAINT, counted, headline, nothing_to_show, with_unit

_HEIGHTS = (2.0, 1.35)
"""Of parity and residuals, in inches."""

_WORST_MARKED = 5

_SMALLEST, _LARGEST = 1e-300, 1e300
"""Of what a frame shows: with smaller or larger numbers, a drawing leaves the range of float64."""

Document = Mapping[str, Any]


def plot_parity(
    references: Sequence[Path | str],
    predictions: Sequence[Path | str],
    measurements: Sequence[Path | str],
    plot: Path | str,
    *,
    model: str,
) -> None:
    """Draw parity and residuals of all outputs in all variants of a model, all datasets and shards together.

    Parameters
    ----------
    references
        Predictions of the reference, for all datasets and shards.
    predictions
        Of all variants, in the order in which they are drawn.
    measurements
        JSON of the differences of the same predictions, which names the worst rows.
    plot
        The picture to write.
    model
        Its name.

    Raises
    ------
    StorageError
        If a file is of another kind, or predictions have no reference of as many rows.
    OutputError
        If the picture cannot be written.
    """
    documents = read_documents(measurements)
    with described_by(measurements):
        worst = {
            (variant, item): _worst(documents, variant, item)
            for variant, item in {(d["variant"], o["item"]) for d in documents for o in d["outputs"]}
        }
    shards = read_shards(references, predictions)
    layouts = [found[0].candidate.placement.layout for found in shards.values()]
    items = {item.name: item.unit for item in layouts[0].items} if layouts else {}
    with variant_panels(plot, model, list(items), list(shards), heights=_HEIGHTS) as panels:
        for item, unit in items.items():
            extents = {variant: extent_of(found, item) for variant, found in shards.items()}
            for variant, extent in extents.items():
                frames = panels[item, variant]
                headline(frames[0], "", counted(extent.pairs, "value"))
                if not extent.pairs:
                    for axes in frames:
                        nothing_to_show(axes, "only NaN or infinity" if extent.not_finite else "no rows")
                    continue
                frame = frame_of(extent, extents.values())
                _draw(frames, counts_of(shards[variant], item, frame), frame, unit)
                _mark_worst(frames, worst.get((variant, item), []))
                _describe(frames, extent, worst.get((variant, item), []))


def reach_of(largest: float) -> float:
    """Return 1, 2 or 5 times a power of ten that is at least a difference; 1 for none."""
    if largest == 0:
        return 1.0
    largest = max(largest, _SMALLEST)
    power = math.floor(math.log10(largest))
    steps = (float(f"{step}e{power}") for step in (1, 2, 5, 10, 20))
    return min(next(reach for reach in steps if reach >= largest), _LARGEST)


def frame_of(extent: Extent, extents: Iterable[Extent]) -> Frame:
    """Return what the frames of a variant show; the references span the same in all variants' frames."""
    spans = [found.reference for found in extents if found.pairs]
    low, high = min(span[0] for span in spans), max(span[1] for span in spans)
    value = min(low, extent.value[0]), max(high, extent.value[1])
    return Frame(_widened(low, high), _widened(*value), reach_of(extent.largest))


def _widened(low: float, high: float) -> tuple[float, float]:
    """Return ends that are never one number, and none that a drawing cannot show."""
    low, high = (min(max(end, -_LARGEST), _LARGEST) for end in (low, high))
    if high - low > max(_SMALLEST, 1e-9 * max(abs(low), abs(high))):
        return low, high
    margin = max(abs(low), abs(high)) / 2 if max(abs(low), abs(high)) > _SMALLEST else 1.0
    return low - margin, high + margin


def _with_margin(low: float, high: float) -> tuple[float, float]:
    """Return ends between which the marks of the outermost values are whole."""
    margin = 0.04 * (high - low)
    return low - margin, high + margin


def _worst(documents: Iterable[Document], variant: str, item: str) -> list[Document]:
    """Return the worst rows of all datasets and shards, the worst first, each with its dataset."""
    rows: list[Document] = [
        {**row, "dataset": document["dataset"]}
        for document in documents
        for output in document["outputs"]
        for row in output["differences"]["worst"]
        if document["variant"] == variant and output["item"] == item
    ]
    rows.sort(key=lambda row: -math.inf if row["difference"] is None else -row["difference"])
    return rows[:_WORST_MARKED]


def _draw(frames: Sequence[Axes], counts: Counts, frame: Frame, unit: str) -> None:
    parity, residual = frames
    columns = np.linspace(*frame.reference, COLUMNS + 1)
    draw_density(parity, counts.parity, columns, np.linspace(*frame.value, PARITY_ROWS + 1))
    parity.plot(frame.reference, frame.reference, color=FAINT, linewidth=0.9, linestyle="--", zorder=2)
    heights = np.linspace(-frame.reach, frame.reach, RESIDUAL_ROWS + 1)
    draw_density(residual, counts.residual, columns, heights)
    residual.axhline(0, color=FAINT, linewidth=0.9, linestyle="--", zorder=2)
    for axes in frames:
        axes.set_xlim(*_with_margin(*frame.reference))
    parity.tick_params(labelbottom=False)
    parity.set_ylim(*_with_margin(*frame.value))
    residual.set_ylim(*_with_margin(-frame.reach, frame.reach))
    for axis in (parity.yaxis, residual.xaxis):
        # A common factor would stand where the headline does.
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    residual.ticklabel_format(axis="y", scilimits=(-2, 3), useMathText=True)
    residual.set_xlabel(with_unit("reference", unit))
    parity.set_ylabel(with_unit("value", unit))
    residual.set_ylabel("value − reference")


def _mark_worst(frames: Sequence[Axes], worst: Iterable[Document]) -> None:
    parity, residual = frames
    for row in worst:
        if row["difference"] is not None:
            reference, value = float(row["reference"]), float(row["value"])
            for axes, height in ((parity, value), (residual, value - reference)):
                axes.plot(reference, height, "o", color=FAIL, fillstyle="none", markersize=7, zorder=3)


def _describe(frames: Sequence[Axes], extent: Extent, worst: Sequence[Document]) -> None:
    """Write into the frames what is left out, and which row is the worst."""
    parity, residual = frames
    place: dict[str, Any] = {"size": "x-small", "color": FAINT, "va": "top"}
    if extent.not_finite:
        text = f"{counted(extent.not_finite, 'value')} with NaN or infinity left out"
        parity.text(0.03, 0.95, text, transform=parity.transAxes, **place)
    text = "no value differs" if extent.largest == 0 else ""
    if worst:
        text = f"worst: {worst[0]['dataset']}/{worst[0]['shard']}, row {worst[0]['row']}"
    residual.text(0.03, 0.95, text, transform=residual.transAxes, **place)
