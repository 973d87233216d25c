"""Sums without rounding, which come out the same in whatever order they are added.

The invariant: a sum equals the exact sum of its terms, so adding is associative and commutative, and
two sums are equal exactly when their numbers are.

The highest bits of all values are split off together, so many that float64 adds them without rounding,
then the next ones (error-free splitting: Rump, Ogita, Oishi, Accurate floating-point summation, 2008).
What is left after some passes is added up as integers for each power of two (a superaccumulator: Kulisch,
Computer Arithmetic and Validity, 2008). The parts are added as Python's integers, which have no limit.

>>> one = ExactSum.zero().adding(np.array([1e300, 1.0, -1e300]))
>>> float(one), one + ExactSum.zero() == one
(1.0, True)
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import numpy as np
import numpy.typing as npt

_LOW_BITS = 26

_VALUES_AT_A_TIME = 1 << 14
"""Fits the cache; sums of so many halves of 27 bits stay below 2 to the power of 53, so they are exact."""

_PASSES = 4
"""Of the fast way, before the values that are left take the slow one."""

_LARGEST_FAST, _LOWEST_POWER = 2.0**900, -900
"""Between these, splitting neither overflows nor meets subnormal numbers."""

_EXPONENT_OF_ONE_UNIT = -1074
"""Of the smallest subnormal float64, as a power of two."""


@dataclass(frozen=True, slots=True)
class ExactSum:
    """A sum of float64 numbers: `mantissa * 2**exponent`.

    Parameters
    ----------
    mantissa
        An odd integer of any size, or 0.
    exponent
        Of two; 0 where the mantissa is.

    Raises
    ------
    ValueError
        If the mantissa is even, so that the same sum could be written in two ways.
    """

    mantissa: int
    exponent: int

    def __post_init__(self) -> None:
        if self.mantissa % 2 == 0 and (self.mantissa, self.exponent) != (0, 0):
            raise ValueError("a sum has an even mantissa")

    @classmethod
    def zero(cls) -> Self:
        """Return the sum of nothing."""
        return cls(0, 0)

    @property
    def fraction(self) -> Fraction:
        """The sum as a fraction."""
        return Fraction(self.mantissa) * Fraction(2) ** self.exponent

    def __float__(self) -> float:
        """Return the nearest float64; a sum beyond float64 raises OverflowError."""
        return float(self.fraction)

    def __add__(self, other: Self) -> Self:
        """Return the sum of both."""
        lower = min(self.exponent, other.exponent)
        total = (self.mantissa << (self.exponent - lower)) + (other.mantissa << (other.exponent - lower))
        return self._of(total, lower)

    def adding(self, values: npt.NDArray[np.float64]) -> Self:
        """Return this sum with further values: finite, one dimension."""
        result = self
        for begin in range(0, len(values), _VALUES_AT_A_TIME):
            parts, left = _split(values[begin : begin + _VALUES_AT_A_TIME])
            for part in parts:
                numerator, denominator = part.as_integer_ratio()
                result = result + self._of(numerator, 1 - denominator.bit_length())
            if len(left):
                result = result + self._of(_in_units(left), _EXPONENT_OF_ONE_UNIT)
        return result

    @classmethod
    def _of(cls, mantissa: int, exponent: int) -> Self:
        if mantissa == 0:
            return cls.zero()
        zeros = (mantissa & -mantissa).bit_length() - 1
        return cls(mantissa >> zeros, exponent + zeros)


def _split(values: npt.NDArray[np.float64]) -> tuple[list[float], npt.NDArray[np.float64]]:
    """Return exact sums of the highest bits of all values, and the values that are left."""
    parts: list[float] = []
    largest = max(float(values.max()), -float(values.min()))
    if largest > _LARGEST_FAST:
        return parts, values
    left = values.copy()
    power = math.frexp(largest)[1] + 1 + len(values).bit_length()
    for _ in range(_PASSES):
        if not left.any():
            return parts, left[:0]
        # Adding rounds to multiples of the last place of `high`; subtracting it again is exact.
        high = math.ldexp(1.5, power)
        split = left + high
        split -= high
        parts.append(float(split.sum()))
        left -= split
        power += len(values).bit_length() - 51
        if power < _LOWEST_POWER:
            break
    return parts, left[left != 0]


def _in_units(values: npt.NDArray[np.float64]) -> int:
    """Return the sum in units of the smallest subnormal number."""
    bits = np.ascontiguousarray(values, np.float64).view(np.int64)
    biased = (bits >> 52) & 0x7FF
    mantissa = (bits & ((1 << 52) - 1)) | (np.minimum(biased, 1) << 52)
    if bits.size and bits.min() < 0:
        mantissa = np.where(bits < 0, -mantissa, mantissa)
    # The arithmetic shift rounds down, so the low half is 0 or more for negative numbers too.
    low, high = (mantissa & ((1 << _LOW_BITS) - 1)), mantissa >> _LOW_BITS
    total = 0
    for half, shift in ((low, 0), (high, _LOW_BITS)):
        sums: npt.NDArray[Any] = np.bincount(biased, weights=half)
        for power in np.flatnonzero(sums).tolist():
            total += int(sums[power]) << (max(power, 1) - 1 + shift)
    return total
