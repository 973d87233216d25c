"""How well a score separates signal from background: the area under the ROC curve (AUC) and its error.

The area is the probability that a signal row scores above a background row; rows that score the same
count one half.

>>> round(auc_error(0.86, signal=60, background=160), 3)
0.032
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt


def is_signal(truth: npt.NDArray[Any], equals: float | None) -> npt.NDArray[np.bool_]:
    """Say which rows are signal.

    Parameters
    ----------
    truth
        Of each row.
    equals
        The truth that is signal; None if the truth is 1 for signal and 0 for background.
    """
    return np.asarray(truth > 0.5 if equals is None else truth == equals)


def auc_error(auc: float, signal: int, background: int) -> float:
    """Return the standard error of an area under the curve.

    Parameters
    ----------
    auc
        From 0 to 1. At 0 and 1 the error is 0, which says too little of few rows.
    signal, background
        Numbers of rows, from 1.

    Returns
    -------
    float
        By J. A. Hanley and B. J. McNeil, Radiology 143 (1982) 29, with their
        approximation for scores of negative exponential distributions.
    """
    two_signal_above = auc / (2 - auc)
    above_two_background = 2 * auc**2 / (1 + auc)
    variance = (
        auc * (1 - auc)
        + (signal - 1) * (two_signal_above - auc**2)
        + (background - 1) * (above_two_background - auc**2)
    ) / (signal * background)
    return math.sqrt(max(0.0, variance))
