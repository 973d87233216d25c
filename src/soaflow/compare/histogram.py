"""A histogram of differences in decades, with edges that never change.

The invariant: the histograms of any two outputs have the same edges, so they can be added and drawn
over one another; every value is counted once, as zero, below, in a bin, or above.

>>> histogram = Histogram.empty().adding(np.array([0.0, 1.0, 2e-3, 1e-30]))
>>> histogram.zeros, histogram.below, histogram.above, histogram.total
(1, 1, 0, 4)
>>> [float(EDGES[i]) for i, count in enumerate(histogram.counts) if count]
[-2.75, 0.0]
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

FIRST_DECADE, LAST_DECADE, BINS_PER_DECADE = -20, 6, 4

EDGES: npt.NDArray[np.float64] = np.linspace(
    FIRST_DECADE, LAST_DECADE, (LAST_DECADE - FIRST_DECADE) * BINS_PER_DECADE + 1
)
"""Of the bins, in log10 of the difference."""

_EDGE_VALUES = 10.0**EDGES


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of differences by their size.

    Parameters
    ----------
    zeros
        Differences of exactly zero.
    below, above
        Differences under the first and over the last edge.
    counts
        One a bin: from `EDGES[i]`, included, to `EDGES[i + 1]`, excluded, in log10.

    Raises
    ------
    ValueError
        If the number of bins is not that of the edges, or a count is negative.
    """

    zeros: int
    below: int
    above: int
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.counts) != len(EDGES) - 1:
            raise ValueError(f"a histogram has {len(self.counts)} bins, not {len(EDGES) - 1}")
        if min(self.zeros, self.below, self.above, *self.counts) < 0:
            raise ValueError("a histogram has a negative count")

    @classmethod
    def empty(cls) -> Self:
        """Return a histogram without entries."""
        return cls(0, 0, 0, (0,) * (len(EDGES) - 1))

    @property
    def total(self) -> int:
        """Number of differences counted."""
        return self.zeros + self.below + self.above + sum(self.counts)

    def adding(self, differences: npt.NDArray[np.float64]) -> Self:
        """Return this histogram with further differences: one dimension, 0 or more."""
        positive = differences[differences > 0]
        # Index 0 is below the first edge, the last index is at or above the last edge.
        places = np.searchsorted(_EDGE_VALUES, positive, side="right")
        found = np.bincount(places, minlength=len(EDGES) + 1).tolist()
        return type(self)(
            self.zeros + len(differences) - len(positive),
            self.below + found[0],
            self.above + found[-1],
            tuple(old + new for old, new in zip(self.counts, found[1:-1], strict=True)),
        )
