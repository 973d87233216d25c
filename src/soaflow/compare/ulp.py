"""A histogram of distances in units in the last place (ULP); see `soaflow.distances`.

The invariant: counts are of exact distances, so histograms merge in any order.

>>> UlpHistogram.empty().adding(np.array([1, 3], np.uint64), zeros=5).counts[:4]
(5, 1, 0, 1)
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

LAST_POWER = 40
"""Of two: the largest distance that has a bin."""

HIGHEST: tuple[int, ...] = (0, *(2**power for power in range(LAST_POWER + 1)))
"""The largest distance in each bin: 0, 1, 2, 4 (for 3 and 4), 8 (for 5 to 8) and so on."""

_SMALL = 1 << 12
"""Distances up to this one are counted one by one, as most are so small."""


@dataclass(frozen=True, slots=True)
class UlpHistogram:
    """Counts of distances.

    Parameters
    ----------
    counts
        One a bin: of 0, of 1, of 2, of 3 to 4, of 5 to 8 and so on up to 2 to the power of `LAST_POWER`.
    above
        Distances over that.
    largest
        The largest distance, exactly.

    Raises
    ------
    ValueError
        If the number of bins is wrong, a count is negative, or the largest distance is not in the highest
        bin that is not empty.
    """

    counts: tuple[int, ...]
    above: int
    largest: int

    def __post_init__(self) -> None:
        if len(self.counts) != len(HIGHEST):
            raise ValueError(f"a ULP histogram has {len(self.counts)} bins, not {len(HIGHEST)}")
        if min(self.above, self.largest, *self.counts) < 0:
            raise ValueError("a ULP histogram has a negative count")
        filled = [index for index, count in enumerate((*self.counts, self.above)) if count]
        if _bin_of(self.largest) != (filled[-1] if filled else 0):
            raise ValueError("the largest ULP distance is not in the last bin that is filled")

    @classmethod
    def empty(cls) -> Self:
        """Return a histogram without entries."""
        return cls((0,) * len(HIGHEST), 0, 0)

    @property
    def total(self) -> int:
        """Number of distances counted."""
        return sum(self.counts) + self.above

    def adding(self, found: npt.NDArray[np.uint64], zeros: int = 0) -> Self:
        """Return this histogram with further distances, and with some that are known to be zero."""
        counts = np.zeros(len(HIGHEST) + 1, np.int64)
        counts[0] = zeros
        large = found > _SMALL
        small = np.bincount(found[~large].astype(np.int64), minlength=1)
        for places, weights in (
            (np.searchsorted(HIGHEST, np.arange(len(small))), small),
            (np.searchsorted(np.array(HIGHEST, np.uint64), found[large]), None),
        ):
            counts += np.bincount(places, weights, minlength=len(counts)).astype(np.int64)
        largest = int(found.max()) if len(found) else 0
        return self + type(self)(tuple(counts[:-1].tolist()), int(counts[-1]), largest)

    def __add__(self, other: Self) -> Self:
        """Return the counts of both."""
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return type(self)(counts, self.above + other.above, max(self.largest, other.largest))


def _bin_of(distance: int) -> int:
    return min((distance - 1).bit_length() + 1, len(HIGHEST)) if distance else 0
