"""How far numbers are from others: the same bits, units in the last place (ULP), or an absolute difference.

The ULP distance of two numbers of one floating type is how many steps to the next representable number
lie between them. The reference is rounded to the type of the value first, so a value that is the
nearest to the reference has distance 0. The floats of a type are ordered like their bit patterns, read
as integers with sign and magnitude (Dawson, Comparing Floating Point Numbers, 2012).

The invariant: ULP distances are exact for float16, float32 and float64. Zeros of both signs are one
number, subnormal numbers are steps like others, and an infinity is one step after the largest finite
number of its sign. A NaN has no distance. The distance of two integers is their difference.

>>> one = np.float32(1)
>>> ulp_distances(np.array([1.0, -0.0, 1.0]), np.array([np.nextafter(one, 2 * one), 0, -1], np.float32))
array([         1,          0, 2130706432], dtype=uint64)
"""

from typing import Any

import numpy as np
import numpy.typing as npt

_LARGEST = float(np.finfo(np.float64).max)


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


def ulp_distances(reference: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Return the distance of each value from its reference, in units in the last place.

    Parameters
    ----------
    reference, values
        Without NaN, of one shape; both floating of any width, or both of one other type.
    """
    first, other = (ordered(array) for array in (rounded(reference, values.dtype), values))
    low, high = np.minimum(first, other), np.maximum(first, other)
    # Two's complement: the difference of two int64 always fits uint64.
    return np.asarray(high.astype(np.uint64) - low.astype(np.uint64))


def absolute_differences(reference: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return `|values - reference|` of finite numbers in float64, never zero where they differ."""
    if reference.dtype.kind == "f":
        with np.errstate(over="ignore"):
            difference = np.abs(values.astype(np.float64) - reference.astype(np.float64))
        capped: npt.NDArray[np.float64] = np.minimum(difference, _LARGEST)
        return capped
    wide = np.uint64 if reference.dtype.kind in ("b", "u") else np.int64
    low, high = np.minimum(reference, values).astype(wide), np.maximum(reference, values).astype(wide)
    # Two's complement: the difference of two int64 always fits uint64.
    distance: npt.NDArray[np.float64] = (high.astype(np.uint64) - low.astype(np.uint64)).astype(np.float64)
    return distance


def magnitudes(reference: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return `|reference|` in float64."""
    magnitude: npt.NDArray[np.float64] = np.abs(reference.astype(np.float64))
    return magnitude


def ordered(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return integers in the order of the values, without a gap."""
    if values.dtype.kind != "f":
        return values.astype(np.uint64 if values.dtype.kind in "ub" else np.int64)
    signed = np.dtype(f"i{values.dtype.itemsize}")
    bits = np.ascontiguousarray(values).view(signed)
    ordered = np.where(bits < 0, np.iinfo(signed).min - bits, bits)
    return ordered.astype(np.int64)
