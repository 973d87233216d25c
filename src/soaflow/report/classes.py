"""Which classes a model takes for which: the confusion matrix, normalised for each true class."""

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from soaflow.errors import StorageError
from soaflow.report.style import INK, PALETTE, counted, headline, nothing_to_show, percent
from soaflow.report.validation import ValidationRows


def draw_classes(figure: Figure, rows: ValidationRows, title: str) -> dict[str, Any]:
    """Draw the confusion matrix and return its figures.

    Parameters
    ----------
    figure
        An empty one.
    rows
        Integer truth of shape `(n,)` and predicted probabilities of shape `(n, classes)`.
    title
        Whose matrix it is.

    Returns
    -------
    dict
        `accuracy` (None without rows), `left_out` (rows with a prediction that is not finite) and
        `confusion`: rows by true class, then by predicted class.

    Raises
    ------
    StorageError
        If the output is no vector, or a true class is not one of its places.
    """
    if rows.prediction.ndim != 2:
        raise StorageError(f"the output has shape {list(rows.prediction.shape[1:])} a row: give [classes]")
    classes = rows.prediction.shape[1]
    if rows.rows and not (rows.truth.min() >= 0 and rows.truth.max() < classes):
        raise StorageError(
            f"item '{rows.item}' has classes from {rows.truth.min()} to {rows.truth.max()}, and the output "
            f"has places for 0 to {classes - 1}"
        )
    usable = np.isfinite(rows.prediction).all(axis=1)
    truth, predicted = rows.truth[usable], rows.prediction[usable].argmax(axis=1)
    found: dict[str, Any] = {"left_out": int(np.count_nonzero(~usable)), "accuracy": None}
    if not len(truth):
        axes = figure.subplots()
        headline(axes, title, rows.described)
        nothing_to_show(axes, "no rows")
        return found | {"confusion": np.zeros((classes, classes), int).tolist()}
    confusion = confusion_matrix(truth, predicted, labels=np.arange(classes))
    found |= {"accuracy": float(np.mean(truth == predicted)), "confusion": confusion.tolist()}
    matrix, bars = figure.subplots(1, 2, width_ratios=(1.25, 1))
    headline(matrix, title)
    headline(bars, "", rows.described)
    _draw_matrix(matrix, confusion, rows.item)
    _draw_bars(bars, confusion, found["accuracy"], rows.item)
    return found


def _draw_matrix(axes: Axes, confusion: npt.NDArray[np.int64], item: str) -> None:
    classes = len(confusion)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.minorticks_off()
    axes.tick_params(length=0)
    axes.set_xticks(range(classes))
    axes.set_yticks(range(classes))
    size = "small" if classes <= 5 else "xx-small"
    for true, predicted in np.ndindex(shares.shape):
        share = shares[true, predicted]
        text = f"{100 * share:.0f}" if confusion[true, predicted] else "·"
        colour = "white" if share > 0.55 else INK
        axes.text(predicted, true, text, ha="center", va="center", size=size, color=colour)
    axes.set_xlabel("predicted class")
    axes.set_ylabel(f"true class ({item})")
    axes.figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.9)


def _draw_bars(axes: Axes, confusion: npt.NDArray[np.int64], accuracy: float, item: str) -> None:
    totals = confusion.sum(axis=1)
    places = np.arange(len(confusion))
    present = totals > 0
    shares = confusion.diagonal()[present] / totals[present]
    # Wilson's interval at one standard deviation: right for few rows and for shares near 0 and 1.
    present_rows = totals[present]
    centre = (shares + 0.5 / present_rows) / (1 + 1 / present_rows)
    variance = shares * (1 - shares) / present_rows + 0.25 / present_rows**2
    half = np.sqrt(variance) / (1 + 1 / present_rows)
    errors = np.maximum(0, [shares - centre + half, centre + half - shares])
    axes.bar(places[present], shares, color=PALETTE[0], alpha=0.45, width=0.7)
    axes.errorbar(places[present], shares, errors, fmt="o", color=PALETTE[0], markersize=4.5, linewidth=1.4)
    axes.axhline(accuracy, color=PALETTE[2], linestyle="--", linewidth=1.5)
    axes.set_ylim(0, 1.25)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_xlim(-0.6, len(confusion) - 0.4)
    axes.set_xticks(places)
    axes.tick_params(axis="x", which="minor", length=0)
    axes.text(
        *(0.04, 0.95, f"accuracy {percent(accuracy)}, {counted(int(totals.sum()), 'row')}"),
        transform=axes.transAxes,
        va="top",
        color=PALETTE[2],
    )
    axes.set_xlabel(f"true class ({item})")
    axes.set_ylabel("share classified rightly")
