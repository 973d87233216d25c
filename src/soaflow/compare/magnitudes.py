"""Counts of differences by their size and by the magnitude of the reference they were found at.

Both axes have the bins of `soaflow.compare.histogram`, two of them joined into one, and only the cells that
are filled are kept. So where errors are large, and whether they grow with what is predicted, can be
drawn from the statistics alone.

The invariant: every difference is counted once; counts are exact, and do not depend on the order in which
chunks or shards are added. Summed over the magnitudes they are the histogram of the differences.

>>> counts = MagnitudeHistogram.empty().adding(np.array([0.0, 2.0, 2.0]), np.array([0.5, 0.0, 1e-30]))
>>> counts.cells
((0, 80, 1), (83, 0, 1), (83, 1, 1))
>>> [float(EDGES[number - 2]) for number in (80, 83)]
[-0.5, 0.25]
"""

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from soaflow.compare import histogram
from soaflow.compare.histogram import Histogram, bin_numbers

_JOINED = 2
"""Bins of a histogram that are one here."""

EDGES: npt.NDArray[np.float64] = histogram.EDGES[::_JOINED]
"""Of the bins of either axis, in log10."""

NUMBERS = len(EDGES) + 2
"""Of an axis: 0 for exactly zero, 1 for below the first edge, i + 2 for the bin from `EDGES[i]`, included, to
`EDGES[i + 1]`, excluded, and the last for at or above the last edge."""

_NUMBER_OF_BIN = np.array(
    [0, 1, *(2 + index // _JOINED for index in range(len(histogram.EDGES) - 1)), NUMBERS - 1]
)
"""The number on an axis here for each number of `bin_numbers`."""

Cell = tuple[int, int, int]
"""Number of the magnitude, number of the difference, and how many differences there are."""


@dataclass(frozen=True, slots=True)
class MagnitudeHistogram:
    """Counts of differences by their size and the magnitude of their reference.

    Parameters
    ----------
    cells
        Those that are filled, in rising order of their two numbers; see `NUMBERS`.

    Raises
    ------
    ValueError
        If cells are not in order, are off the axes or are empty.
    """

    derived: ClassVar[tuple[str, ...]] = ("edges",)

    cells: tuple[Cell, ...]

    def __post_init__(self) -> None:
        if any(first[:2] >= other[:2] for first, other in itertools.pairwise(self.cells)):
            raise ValueError("the cells by magnitude are not in order")
        if any(not (0 <= min(cell[:2]) <= max(cell[:2]) < NUMBERS and cell[2] > 0) for cell in self.cells):
            raise ValueError("a cell by magnitude is off the axes or empty")

    @classmethod
    def empty(cls) -> Self:
        """Return a histogram without entries."""
        return cls(())

    def adding(self, magnitudes: npt.NDArray[np.float64], differences: npt.NDArray[np.float64]) -> Self:
        """Return this histogram with further differences: one dimension, 0 or more."""
        return self.counting(bin_numbers(magnitudes), bin_numbers(differences))

    def counting(self, magnitudes: npt.NDArray[np.int64], differences: npt.NDArray[np.int64]) -> Self:
        """Return this histogram with further differences, both given by their `bin_numbers`."""
        joint = _NUMBER_OF_BIN[magnitudes] * NUMBERS
        joint += _NUMBER_OF_BIN[differences]
        counts = np.bincount(joint)
        filled = np.flatnonzero(counts)
        cells = zip(*np.divmod(filled, NUMBERS), counts[filled], strict=True)
        return self + type(self)(tuple((int(row), int(column), int(count)) for row, column, count in cells))

    def __add__(self, other: Self) -> Self:
        """Return the counts of both."""
        counts = Counter({cell[:2]: cell[2] for cell in self.cells})
        counts.update({cell[:2]: cell[2] for cell in other.cells})
        return type(self)(tuple((*numbers, count) for numbers, count in sorted(counts.items())))

    def agrees_with(self, absolute: Histogram) -> bool:
        """Say whether the counts, summed over the magnitudes, are those of a histogram of the differences."""
        summed: Counter[int] = Counter()
        for _, number, count in self.cells:
            summed[number] += count
        counts = (absolute.zeros, absolute.below, *absolute.counts, absolute.above)
        expected: Counter[int] = Counter()
        for number, count in zip(_NUMBER_OF_BIN.tolist(), counts, strict=True):
            expected[number] += count
        return summed == expected

    @property
    def edges(self) -> tuple[float, ...]:
        """Of the bins of either axis, in log10; see `NUMBERS`."""
        return tuple(EDGES.tolist())

    @property
    def differing_at_zero(self) -> int:
        """Values that differ where the reference is zero."""
        return sum(count for magnitude, difference, count in self.cells if difference > 0 == magnitude)
