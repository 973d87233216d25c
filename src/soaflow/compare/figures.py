"""The statistics of an output's differences, of one shard or of several.

The invariant: merging is exact, associative and commutative: the figures of shards come out the same,
bit for bit, in whatever order and grouping they are merged.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Self

from soaflow.compare.envelope import Envelope, holds, is_envelope, joined
from soaflow.compare.exact import ExactSum
from soaflow.compare.histogram import Histogram
from soaflow.compare.magnitudes import MagnitudeHistogram
from soaflow.compare.places import Largest, Place, WorstRow, earlier, larger, worst_of
from soaflow.compare.ulp import UlpHistogram

QUANTILES = (0.5, 0.9, 0.99, 0.999)
"""Shares of the values, of which files give the quantiles."""

_SMALLEST_SQUARES = 2.0**-900
"""Of a sum of squares: below, the products have lost digits."""

_SUMS = ("sum_absolute", "sum_relative", "dot", "reference_squared", "value_squared")


@dataclass(frozen=True, slots=True)
class Differences:
    """How an output differs from its reference.

    Absolute differences are `|value - reference|`. Relative ones are `|value - reference| /
    |reference|`, taken where the reference is not zero. A difference beyond float64 counts as its
    largest number.

    Parameters
    ----------
    rows
        Of the output.
    values
        Rows times elements of a row.
    matched_not_finite
        Values where both are NaN, or both the same infinity.
    mismatched_nan
        Values where one is NaN and the other is not.
    mismatched_infinity
        Values where one is infinite and the other is finite or the other infinity.
    first_mismatch
        Place of the first of these mismatches; None if there is none.
    differing_at_zero
        Values that differ where the reference is zero, so that they have no relative difference.
    rows_bit_identical
        Rows where every value has the bits of the reference rounded to the output's dtype; a NaN
        has those of any NaN, zeros of different sign differ.
    smallest_absolute, smallest_relative
        None if there are no such differences.
    largest_absolute, largest_relative
        None if no value differs.
    sum_absolute, sum_relative
        Of all such differences.
    dot, reference_squared, value_squared
        Sums over the finite pairs of reference times value, and of either squared, each product rounded
        to float64. For the cosine.
    too_large_to_square
        Finite pairs of which a product may leave the range of float64; the sums are without them.
    absolute, relative
        Histograms of the differences.
    by_magnitude
        Counts of the absolute differences by the magnitude of the reference.
    ulp
        Histogram of the distances in units in the last place of the output's dtype, of finite pairs.
    worst
        The worst rows, the worst first.
    envelope
        The points that decide at any tolerance.

    Raises
    ------
    ValueError
        If the counts contradict one another.
    """

    derived: ClassVar[tuple[str, ...]] = (
        *("mean_absolute", "mean_relative", "cosine"),
        *("quantiles_absolute", "quantiles_relative"),
    )

    rows: int
    values: int
    matched_not_finite: int
    mismatched_nan: int
    mismatched_infinity: int
    first_mismatch: Place | None
    differing_at_zero: int
    rows_bit_identical: int
    smallest_absolute: float | None
    largest_absolute: Largest | None
    sum_absolute: ExactSum
    smallest_relative: float | None
    largest_relative: Largest | None
    sum_relative: ExactSum
    dot: ExactSum
    reference_squared: ExactSum
    value_squared: ExactSum
    too_large_to_square: int
    absolute: Histogram
    relative: Histogram
    by_magnitude: MagnitudeHistogram
    ulp: UlpHistogram
    worst: tuple[WorstRow, ...]
    envelope: Envelope

    def __post_init__(self) -> None:
        finite = self.values - self.matched_not_finite - self.mismatches
        largest = 0.0 if self.largest_absolute is None else self.largest_absolute.difference
        consistent = {
            "absolute does not count each finite value once": self.absolute.total == finite,
            "ulp does not count each finite value once": self.ulp.total == finite,
            "relative and differing_at_zero count more than the finite values": (
                self.relative.total + self.differing_at_zero <= finite
            ),
            "by_magnitude does not count the differences of absolute": (
                self.by_magnitude.agrees_with(self.absolute)
            ),
            "by_magnitude does not count what differs at zero": (
                self.by_magnitude.differing_at_zero == self.differing_at_zero
            ),
            "first_mismatch does not fit the mismatches": (self.first_mismatch is None)
            == (not self.mismatches),
            "rows_bit_identical is not a count of rows": 0 <= self.rows_bit_identical <= self.rows,
            "envelope is not rising": is_envelope(self.envelope),
            "envelope does not end at largest_absolute": (
                max((point[1] for point in self.envelope), default=0.0) == largest
            ),
            "worst is not in order": worst_of(self.worst) == self.worst,
        }
        for contradiction, fine in consistent.items():
            if not fine:
                raise ValueError(contradiction)

    @property
    def mismatches(self) -> int:
        """Values where only one of the two is a NaN or that infinity: they fail at any tolerance."""
        return self.mismatched_nan + self.mismatched_infinity

    @property
    def max_absolute(self) -> float:
        """The largest absolute difference; 0 if no value differs."""
        return 0.0 if self.largest_absolute is None else self.largest_absolute.difference

    @property
    def mean_absolute(self) -> float:
        """Over all finite pairs, correctly rounded; 0 if there are none."""
        return float(self.sum_absolute.fraction / max(1, self.absolute.total))

    @property
    def mean_relative(self) -> float:
        """Over all values that have a relative difference, correctly rounded; 0 if there are none."""
        return float(self.sum_relative.fraction / max(1, self.relative.total))

    @property
    def cosine(self) -> float | None:
        """Of the angle between output and reference over the finite pairs.

        None if either is zero, or has numbers whose squares leave the range of float64.
        """
        squares = self.reference_squared.fraction * self.value_squared.fraction
        smallest = min(self.reference_squared.fraction, self.value_squared.fraction)
        if self.too_large_to_square or smallest < Fraction(_SMALLEST_SQUARES):
            return None
        squared = float(self.dot.fraction**2 / squares)
        return math.copysign(min(1.0, math.sqrt(squared)), self.dot.mantissa) if squared else 0.0

    def quantile_absolute(self, share: float) -> tuple[float, float] | None:
        """Return numbers between which a quantile of the absolute differences surely lies."""
        return _clipped(self.absolute.quantile(share), self.smallest_absolute, self.largest_absolute)

    def quantile_relative(self, share: float) -> tuple[float, float] | None:
        """Return numbers between which a quantile of the relative differences surely lies."""
        return _clipped(self.relative.quantile(share), self.smallest_relative, self.largest_relative)

    @property
    def quantiles_absolute(self) -> dict[str, tuple[float, float] | None]:
        """Bounds of the quantiles of the absolute differences, by share."""
        return {str(share): self.quantile_absolute(share) for share in QUANTILES}

    @property
    def quantiles_relative(self) -> dict[str, tuple[float, float] | None]:
        """Bounds of the quantiles of the relative differences, by share."""
        return {str(share): self.quantile_relative(share) for share in QUANTILES}

    def over_at_most(self, absolute: float, relative: float) -> int:
        """Return a number that the count of values over a tolerance surely does not exceed.

        A value passes if its absolute difference is at most `absolute`, and if its relative one is at
        most `relative`: so all but those of higher bins of either histogram pass. It is 0 exactly if no
        value is over.
        """
        if holds(self.envelope, absolute, relative):
            return 0
        beside_relative = self.relative.reaching_over(relative) + self.differing_at_zero
        return min(self.absolute.reaching_over(absolute), beside_relative)

    def merged(self, other: Self) -> Self:
        """Return the figures of both, exactly as if their rows had been compared together.

        Parameters
        ----------
        other
            Of the same output, and of another shard.
        """
        counts = {
            name: getattr(self, name) + getattr(other, name)
            for name in (
                *("rows", "values", "matched_not_finite", "mismatched_nan", "mismatched_infinity"),
                *("differing_at_zero", "rows_bit_identical", "too_large_to_square"),
                *("absolute", "relative", "by_magnitude", "ulp", *_SUMS),
            )
        }
        return type(self)(
            **counts,
            first_mismatch=earlier(self.first_mismatch, other.first_mismatch),
            smallest_absolute=_smaller(self.smallest_absolute, other.smallest_absolute),
            largest_absolute=larger(self.largest_absolute, other.largest_absolute),
            smallest_relative=_smaller(self.smallest_relative, other.smallest_relative),
            largest_relative=larger(self.largest_relative, other.largest_relative),
            worst=worst_of([*self.worst, *other.worst]),
            envelope=joined(self.envelope, other.envelope),
        )


def _smaller(first: float | None, other: float | None) -> float | None:
    return min((value for value in (first, other) if value is not None), default=None)


def _clipped(
    bounds: tuple[float, float] | None, smallest: float | None, largest: Largest | None
) -> tuple[float, float] | None:
    if bounds is None or smallest is None:
        return None
    return max(bounds[0], smallest), min(bounds[1], 0.0 if largest is None else largest.difference)
