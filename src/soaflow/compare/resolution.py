"""Bias and resolution of a regression, of reference and candidate on the same rows.

They are those of `soaflow.physics.response`, from exact quantiles. Rows without a usable truth, and rows
where either prediction has no finite response, are left out of both and counted.

The invariant: the quantiles are exact, so they depend neither on chunks nor on shards.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from soaflow.compare.chunks import Chunk, Chunks
from soaflow.compare.ordering import ROWS_AT_A_TIME, Stream, quantiles
from soaflow.physics.response import QUANTILES, Response, has_truth, responses


@dataclass(frozen=True, slots=True)
class Resolution:
    """How near a regression comes to the truth, in reference and candidate.

    Parameters
    ----------
    used
        Rows that both are taken from.
    without_truth
        Rows whose truth is not above zero and finite.
    not_finite
        Rows with a truth where either response is not finite.
    reference, value
        Bias and resolution, relative to the truth; None without rows.
    """

    used: int
    without_truth: int
    not_finite: int
    reference: Response | None
    value: Response | None

    derived: ClassVar[tuple[str, ...]] = ("bias_shift", "resolution_shift")

    def __post_init__(self) -> None:
        if min(self.used, self.without_truth, self.not_finite) < 0:
            raise ValueError("a resolution has a negative count of rows")
        if {self.used == 0} != {self.reference is None, self.value is None}:
            raise ValueError("a resolution is of no rows, or rows are without a resolution")

    @property
    def rows(self) -> int:
        """All rows, those left out too."""
        return self.used + self.without_truth + self.not_finite

    @property
    def bias_shift(self) -> float | None:
        """Bias over that of the reference; None without rows."""
        if self.reference is None or self.value is None:
            return None
        return self.value.bias - self.reference.bias

    @property
    def resolution_shift(self) -> float | None:
        """Resolution over that of the reference; None without rows."""
        if self.reference is None or self.value is None:
            return None
        return self.value.resolution - self.reference.resolution


def resolution(chunks: Chunks, *, rows_at_a_time: int = ROWS_AT_A_TIME) -> Resolution:
    """Find bias and resolution.

    Parameters
    ----------
    chunks
        All rows, with the one column of a regression and the truth.
    rows_at_a_time
        Rows that are sorted at a time; bounds the memory.
    """
    used = without_truth = not_finite = 0
    for chunk in chunks():
        true = has_truth(np.asarray(chunk.truth))
        usable = ~np.isnan(_paired(chunk)[0])
        used += int(np.count_nonzero(usable))
        without_truth += int(np.count_nonzero(~true))
        not_finite += int(np.count_nonzero(true & ~usable))
    reference, value = (
        quantiles(_of(chunks, index), QUANTILES, rows_at_a_time=rows_at_a_time) for index in (0, 1)
    )
    return Resolution(
        used,
        without_truth,
        not_finite,
        None if reference is None else Response.of(*reference),
        None if value is None else Response.of(*value),
    )


def _of(chunks: Chunks, index: int) -> Stream:
    def stream() -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]]:
        for chunk in chunks():
            found = _paired(chunk)[index]
            found = found[~np.isnan(found)]
            yield found, np.zeros(len(found), bool)

    return stream


def _paired(chunk: Chunk) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the responses of both, NaN in both where either has none."""
    truth = np.asarray(chunk.truth, np.float64)
    reference, value = (responses(truth, found[:, 0]) for found in (chunk.reference, chunk.value))
    neither = np.isnan(reference) | np.isnan(value)
    return np.where(neither, np.nan, reference), np.where(neither, np.nan, value)
