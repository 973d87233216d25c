"""How well a probability separates signal from background: the ROC curve, linear and as taggers show it.

Efficiency is the fraction of signal above a threshold, mistag rate that of background. The area under
the curve (AUC) is the probability that a signal row scores above a background row.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score, roc_curve

from soaflow.physics.separation import auc_error, is_signal
from soaflow.report.style import FAINT, PALETTE, counted, headline, nothing_to_show
from soaflow.report.validation import ValidationRows

WORKING_POINTS = (0.5, 0.7, 0.9)
"""Efficiencies at which the mistag rate is told."""


def draw_tagging(figure: Figure, rows: ValidationRows, title: str, equals: float | None) -> dict[str, Any]:
    """Draw the separation and return its figures.

    Parameters
    ----------
    figure
        An empty one.
    rows
        Truth and predicted probability of signal, one value a row.
    title
        Whose separation it is.
    equals
        The truth that is signal; None if the truth is 1 for signal and 0 for background.

    Returns
    -------
    dict
        `signal` and `background` (numbers of rows), `left_out` (not finite), `auc`, `auc_error`, and
        `mistag` by efficiency; the last three None if one of the two kinds is missing.
    """
    score = rows.prediction.reshape(-1).astype(np.float64)
    usable = np.isfinite(score)
    truth = rows.truth.reshape(-1)[usable]
    signal = is_signal(truth, equals)
    score = score[usable]
    found: dict[str, Any] = {
        "signal": int(np.count_nonzero(signal)),
        "background": int(np.count_nonzero(~signal)),
        "left_out": int(np.count_nonzero(~usable)),
    }
    scores, curve = figure.subplots(1, 2)
    headline(scores, title)
    headline(curve, "", rows.described)
    name = rows.item if equals is None else f"{rows.item} = {equals:g}"
    if not len(score):
        for axes in (scores, curve):
            nothing_to_show(axes, "no rows")
        return found | {"auc": None, "auc_error": None, "mistag": None}
    _draw_scores(scores, score, signal, name)
    if not found["signal"] or not found["background"]:
        nothing_to_show(curve, f"no {'background' if found['signal'] else 'signal'} rows to separate")
        return found | {"auc": None, "auc_error": None, "mistag": None}
    mistag, efficiency, _ = roc_curve(signal, score, drop_intermediate=False)
    found["auc"] = float(roc_auc_score(signal, score))
    found["auc_error"] = auc_error(found["auc"], found["signal"], found["background"])
    found["mistag"] = {f"{e:g}": float(mistag[np.argmax(efficiency >= e)]) for e in WORKING_POINTS}
    _draw_curve(curve, efficiency, mistag, found)
    return found


def _draw_scores(
    axes: Axes, score: npt.NDArray[np.float64], signal: npt.NDArray[np.bool_], name: str
) -> None:
    edges = np.linspace(min(0.0, score.min()), max(1.0, score.max()), 26)
    highest = 0.0
    for chosen, label, colour, hatch in (
        (signal, name, PALETTE[2], None),
        (~signal, "others", PALETTE[0], "///"),
    ):
        count = int(np.count_nonzero(chosen))
        if not count:
            continue
        shares = np.histogram(score[chosen], edges)[0] / count
        highest = max(highest, float(shares.max()))
        axes.stairs(
            shares, edges, fill=hatch is None, color=colour, alpha=0.3 if hatch is None else 1, hatch=hatch
        )
        axes.stairs(shares, edges, color=colour, linewidth=1.8, label=f"{label}: {counted(count, 'row')}")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, highest * 1.35)
    axes.set_xlabel(f"predicted probability of {name}")
    axes.set_ylabel("fraction of rows per bin")
    axes.legend(loc="upper right")


def _draw_curve(
    axes: Axes,
    efficiency: npt.NDArray[np.float64],
    mistag: npt.NDArray[np.float64],
    found: dict[str, Any],
) -> None:
    floor = 0.5 / found["background"]
    shown = np.maximum(mistag, floor)
    area = f"AUC {found['auc']:.3f} ± {found['auc_error']:.3f}"
    axes.plot(efficiency, shown, color=PALETTE[2], drawstyle="steps-post", label=area)
    chance = np.geomspace(floor, 1, 200)
    axes.plot(chance, chance, color=FAINT, linestyle="--", linewidth=1.2, label="chance")
    for wanted in WORKING_POINTS:
        rate = found["mistag"][f"{wanted:g}"]
        axes.plot([wanted], [max(rate, floor)], "o", color=PALETTE[3], markersize=6)
        axes.annotate(
            *(f"{rate:.2g}", (wanted, max(rate, floor))),
            xytext=(6, -12),
            textcoords="offset points",
            size="small",
        )
    axes.set_yscale("log")
    axes.set_xlim(0, 1)
    axes.set_ylim(floor, 2)
    axes.set_xlabel("signal efficiency")
    axes.set_ylabel("mistag rate")
    axes.legend(loc="upper left")
