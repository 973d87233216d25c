"""Distances in units in the last place (ULP), and their histogram.

The distance of two numbers of one floating type is how many steps to the next representable number
lie between them. The reference is rounded to the type of the value first, so a value that is the
nearest to the reference has distance 0. The floats of a type are ordered like their bit patterns, read
as integers with sign and magnitude (Dawson, Comparing Floating Point Numbers, 2012).

The invariant: distances are exact for float16, float32 and float64. Zeros of both signs are one
number, subnormal numbers are steps like others, and an infinity is one step after the largest finite
number of its sign. A NaN has no distance. The distance of two integers is their difference.

>>> one = np.float32(1)
>>> distances(np.array([1.0, -0.0, 1.0]), np.array([np.nextafter(one, 2 * one), 0, -1], np.float32))
array([         1,          0, 2130706432], dtype=uint64)
"""

from dataclasses import dataclass
from typing import Any, Self

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


def rounded(reference: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return a reference in the type of the values; what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        return reference.astype(dtype, copy=False)


def same_bits(first: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Say for each pair of one type whether the bits are the same; all NaN count as the same."""
    if first.dtype.kind != "f":
        return np.asarray(first == other)
    unsigned = f"u{first.dtype.itemsize}"
    same = np.ascontiguousarray(first).view(unsigned) == np.ascontiguousarray(other).view(unsigned)
    if not same.all():
        same |= np.isnan(first) & np.isnan(other)
    return np.asarray(same)


def distances(reference: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Return the distance of each value from its reference.

    Parameters
    ----------
    reference, values
        Without NaN, of one shape; both floating of any width, or both of one other type.
    """
    first, other = (ordered(array) for array in (rounded(reference, values.dtype), values))
    low, high = np.minimum(first, other), np.maximum(first, other)
    # Two's complement: the difference of two int64 always fits uint64.
    return np.asarray(high.astype(np.uint64) - low.astype(np.uint64))


def ordered(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return integers in the order of the values, without a gap."""
    if values.dtype.kind != "f":
        return values.astype(np.uint64 if values.dtype.kind in "ub" else np.int64)
    signed = np.dtype(f"i{values.dtype.itemsize}")
    bits = np.ascontiguousarray(values).view(signed)
    ordered = np.where(bits < 0, np.iinfo(signed).min - bits, bits)
    return ordered.astype(np.int64)


def _bin_of(distance: int) -> int:
    return min((distance - 1).bit_length() + 1, len(HIGHEST)) if distance else 0
