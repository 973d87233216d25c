"""How near a regression comes to the truth: its response, and the response along the truth.

Response, bias and resolution are those of `soaflow.physics.response`. Rows without a truth above zero, and
predictions that are not finite, are left out and counted.
"""

from dataclasses import dataclass
from typing import Any

import mplhep
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from soaflow.physics.response import QUANTILES, Response, responses
from soaflow.report.style import FAINT, PALETTE, counted, headline, nothing_to_show, plain_log_axis, with_unit
from soaflow.report.validation import ValidationRows

_BINS_ALONG_TRUTH, _ROWS_PER_BIN = 10, 20


@dataclass(frozen=True, slots=True)
class ResponseAlongTruth:
    """Quantiles of the response in bins of equal numbers of rows.

    Parameters
    ----------
    edges
        Of the bins, in the truth's unit: shape `(bins + 1,)`.
    centres
        Median truth of each bin: shape `(bins,)`.
    low, median, high
        Of the response at `QUANTILES`: shape `(bins,)`.
    """

    edges: npt.NDArray[np.float64]
    centres: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    median: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]


def response_along_truth(
    truth: npt.NDArray[np.float64], response: npt.NDArray[np.float64]
) -> ResponseAlongTruth:
    """Bin the response along the truth.

    Parameters
    ----------
    truth, response
        Shape `(n,)`, with n of at least 1; finite.
    """
    bins = min(_BINS_ALONG_TRUTH, max(1, len(truth) // _ROWS_PER_BIN))
    edges = np.unique(np.quantile(truth, np.linspace(0, 1, bins + 1)))
    if len(edges) == 1:
        edges = edges[0] * np.array([0.9, 1.1])
    place = np.clip(np.searchsorted(edges, truth, side="right") - 1, 0, len(edges) - 2)
    occupied = np.unique(place)
    # Ties may leave a bin empty: the edges of those that are left still cover the truth.
    edges = np.append(edges[occupied], edges[-1])
    quantiles = np.array([np.quantile(response[place == index], QUANTILES) for index in occupied])
    centres = np.array([np.median(truth[place == index]) for index in occupied])
    return ResponseAlongTruth(edges, centres, *quantiles.T)


def draw_response(figure: Figure, rows: ValidationRows, title: str) -> dict[str, Any]:
    """Draw the response and return its figures.

    Parameters
    ----------
    figure
        An empty one.
    rows
        Truth and prediction, one value a row.
    title
        Whose response it is.

    Returns
    -------
    dict
        `used`, `left_out`, `bias` and `resolution` (relative; None without rows).
    """
    truth = rows.truth.reshape(-1).astype(np.float64)
    prediction = rows.prediction.reshape(-1).astype(np.float64)
    response = responses(truth, prediction)
    usable = np.isfinite(response)
    truth, response = truth[usable], response[usable]
    found: dict[str, Any] = {"used": len(truth), "left_out": int(np.count_nonzero(~usable))}
    spread, along = figure.subplots(1, 2)
    headline(spread, title)
    headline(along, "", rows.described)
    if not len(truth):
        sentence = "no rows" if not rows.rows else "no rows with a truth above zero"
        for axes in (spread, along):
            nothing_to_show(axes, sentence)
        return found | {"bias": None, "resolution": None}
    whole = Response.of(*np.quantile(response, QUANTILES).tolist())
    found |= {"bias": whole.bias, "resolution": whole.resolution}
    _draw_spread(spread, response - 1, found, rows.item)
    _draw_along(along, response_along_truth(truth, response), rows)
    return found


def _draw_spread(axes: Axes, deviation: npt.NDArray[np.float64], found: dict[str, Any], item: str) -> None:
    reach = float(np.quantile(np.abs(deviation - found["bias"]), 0.98)) * 1.3 or 0.1
    edges = found["bias"] + np.linspace(-reach, reach, 2 * max(5, min(30, int(np.sqrt(len(deviation))))) + 1)
    counts, _ = np.histogram(deviation, edges)
    mplhep.histplot(counts, edges, ax=axes, histtype="fill", color=PALETTE[0], alpha=0.35, yerr=False)
    mplhep.histplot(counts, edges, ax=axes, histtype="step", color=PALETTE[0], yerr=False)
    axes.axvline(0, color=FAINT, linewidth=1.2, linestyle="--")
    outside = len(deviation) - int(counts.sum())
    lines = [
        f"median {found['bias']:+.3f}",
        f"resolution {found['resolution']:.3f}",
        counted(len(deviation), "row"),
        *([f"{outside} outside the frame"] if outside else []),
        *([f"{found['left_out']} left out"] if found["left_out"] else []),
    ]
    axes.set_ylim(0, counts.max() * 1.5 + 1)
    axes.set_xlim(edges[0], edges[-1])
    axes.text(
        *(0.04, 0.96, "\n".join(lines)), transform=axes.transAxes, va="top", size="small", linespacing=1.5
    )
    axes.set_xlabel(f"(prediction − {item}) / {item}")
    axes.set_ylabel("rows")


def _draw_along(axes: Axes, along: ResponseAlongTruth, rows: ValidationRows) -> None:
    axes.stairs(along.high, along.edges, baseline=along.low, fill=True, color=PALETTE[1], alpha=0.35)
    axes.plot([], [], color=PALETTE[1], alpha=0.35, linewidth=9, label="central 68 %")
    axes.errorbar(
        along.centres,
        along.median,
        xerr=np.abs(np.stack([along.edges[:-1], along.edges[1:]]) - along.centres),
        fmt="o",
        color=PALETTE[2],
        markersize=5,
        linewidth=1.4,
        label="median",
    )
    axes.axhline(1, color=FAINT, linewidth=1.2, linestyle="--")
    if along.edges[-1] > 10 * along.edges[0]:
        axes.set_xscale("log")
        plain_log_axis(axes.xaxis)
    low, high = min(1.0, float(along.low.min())), max(1.0, float(along.high.max()))
    margin = 0.1 * (high - low) or 0.1
    axes.set_ylim(low - margin, high + 3.5 * margin)
    axes.set_xlabel(with_unit(rows.item, rows.unit))
    axes.set_ylabel(f"prediction / {rows.item}")
    axes.legend(loc="upper right", ncols=2)
