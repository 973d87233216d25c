"""How near a regression comes to the truth: its response, `prediction / truth`.

The median of the response, less 1, is the bias; half the distance of its quantiles at 16 and 84 % is the
resolution (for a normal distribution, one standard deviation). The response needs a truth above zero.

The invariant: bias and resolution are functions of the three quantiles alone, however these were found.

>>> Response.of(*np.quantile([0.9, 1.0, 1.1, 1.2, 1.3], QUANTILES).tolist())
Response(bias=0.10000000000000009, resolution=0.136)
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

QUANTILES = (0.16, 0.5, 0.84)


@dataclass(frozen=True, slots=True)
class Response:
    """What a response comes to, relative to the truth.

    Parameters
    ----------
    bias
        Median of `(prediction - truth) / truth`.
    resolution
        Half-width of the central 68 % of the same.
    """

    bias: float
    resolution: float

    @classmethod
    def of(cls, low: float, median: float, high: float) -> Self:
        """Take them from the response at `QUANTILES`."""
        return cls(median - 1, (high - low) / 2)


def has_truth(truth: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Say which rows have a truth that a response can be taken to: finite and above zero."""
    return np.asarray(np.isfinite(truth) & (truth > 0))


def responses(truth: npt.NDArray[np.float64], prediction: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return `prediction / truth` of each row, NaN where it is not finite or there is no truth.

    Parameters
    ----------
    truth, prediction
        Of one unit. Shape `(n,)`.
    """
    usable = has_truth(truth)
    with np.errstate(over="ignore", invalid="ignore"):
        found = prediction / np.where(usable, truth, np.nan)
    return np.where(np.isfinite(found), found, np.nan)
