"""A histogram of differences in decades, with edges that never change.

The invariant: the histograms of any two outputs have the same edges, so they can be added and drawn
over one another; every value is counted once, as zero, below, in a bin, or above.

>>> histogram = Histogram.empty().adding(np.array([0.0, 1.0, 2e-3, 1e-30]))
>>> histogram.zeros, histogram.below, histogram.above, histogram.total
(1, 1, 0, 4)
>>> [float(EDGES[i]) for i, count in enumerate(histogram.counts) if count]
[-2.75, 0.0]
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

import numpy as np
import numpy.typing as npt

FIRST_DECADE, LAST_DECADE, BINS_PER_DECADE = -20, 6, 8

EDGES: npt.NDArray[np.float64] = np.linspace(
    FIRST_DECADE, LAST_DECADE, (LAST_DECADE - FIRST_DECADE) * BINS_PER_DECADE + 1
)
"""Of the bins, in log10 of the difference."""

_EDGE_VALUES = 10.0**EDGES

_DROPPED_BITS = 46
"""Of a float64: those left, exponent and 6 bits, hold at most one edge between a number and the next."""

_FIRST_KEY, _LAST_KEY = (_EDGE_VALUES[[0, -1]].view(np.int64) >> _DROPPED_BITS).tolist()

_BIN_OF_KEY = np.searchsorted(
    _EDGE_VALUES, (np.arange(_FIRST_KEY, _LAST_KEY + 1) << _DROPPED_BITS).view(np.float64), side="right"
)
"""How many edges are at or below the smallest number of a key."""

_NEXT_EDGE = np.append(_EDGE_VALUES, np.inf)


def bin_numbers(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return where each value is counted.

    Parameters
    ----------
    values
        One dimension, 0 or more.

    Returns
    -------
    numpy.ndarray
        0 for exactly zero, 1 for below the first edge, i + 2 for the bin from `EDGES[i]`, included, to
        `EDGES[i + 1]`, excluded, and `len(EDGES) + 1` for at or above the last edge.
    """
    keys = np.ascontiguousarray(values, np.float64).view(np.int64) >> _DROPPED_BITS
    np.clip(keys, _FIRST_KEY, _LAST_KEY, out=keys)
    keys -= _FIRST_KEY
    numbers = np.asarray(_BIN_OF_KEY[keys])
    numbers += values >= _NEXT_EDGE[numbers]
    numbers += values > 0
    return numbers


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
        return self.counting(bin_numbers(differences))

    def counting(self, numbers: npt.NDArray[np.int64]) -> Self:
        """Return this histogram with further differences, given by their `bin_numbers`."""
        zeros, below, *found, above = np.bincount(numbers, minlength=len(EDGES) + 2).tolist()
        return type(self)(
            self.zeros + zeros,
            self.below + below,
            self.above + above,
            tuple(old + new for old, new in zip(self.counts, found, strict=True)),
        )

    def __add__(self, other: Self) -> Self:
        """Return the counts of both."""
        return type(self)(
            self.zeros + other.zeros,
            self.below + other.below,
            self.above + other.above,
            tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)),
        )

    def quantile(self, share: float) -> tuple[float, float] | None:
        """Return numbers between which a quantile surely lies, both included.

        The quantile is the smallest difference that at least `share` of all differences do not exceed.

        Parameters
        ----------
        share
            From 0 to 1.

        Returns
        -------
        tuple
            The edges of the quantile's bin; both 0 for differences of zero, infinity for the end of the last;
            None for a histogram without entries.
        """
        if not self.total:
            return None
        # The decimal number that was meant: 0.95 of 20 values are 19.
        rank = max(1, math.ceil(Fraction(str(share)) * self.total))
        counted = 0
        for bounds, count in self._bins():
            counted += count
            if counted >= rank:
                return bounds
        raise ValueError(f"the share is {share}: give a number from 0 to 1")

    def reaching_over(self, limit: float) -> int:
        """Return how many differences lie in bins that reach over a limit: no more can be over it."""
        return sum(count for (_, end), count in self._bins() if end > limit)

    def _bins(self) -> Iterator[tuple[tuple[float, float], int]]:
        """Yield the ends of every bin and its count; that of the differences of zero is first."""
        ends = [(0.0, 0.0), *itertools.pairwise([0.0, *_EDGE_VALUES.tolist(), math.inf])]
        yield from zip(ends, (self.zeros, self.below, *self.counts, self.above), strict=True)
