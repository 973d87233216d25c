"""The smallest number that would pass, by the very inequality that is judged with.

Solving the inequality for its limit rounds, and what is then said to pass may fail. So it is searched
for among all float64 numbers, which takes 63 steps.

The invariant: the number passes, and the next smaller one does not.

>>> smallest_passing(lambda factor: 0.3 <= 0.1 * factor)
2.9999999999999996
"""

import struct
from collections.abc import Callable

_BITS_OF_LARGEST = 0x7FEF_FFFF_FFFF_FFFF
"""Of the largest finite float64."""


def smallest_passing(passes: Callable[[float], bool]) -> float | None:
    """Return the smallest float64 from 0 that passes; None if even the largest does not.

    Parameters
    ----------
    passes
        Whether a limit passes; if one does, all larger ones do.
    """
    # Read as integers, the bits of the float64 numbers from 0 on are in the order of the numbers.
    low, high = 0, _BITS_OF_LARGEST
    if not passes(_from_bits(high)):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(_from_bits(middle)) else (middle + 1, high)
    return _from_bits(high)


def _from_bits(bits: int) -> float:
    (number,) = struct.unpack("<d", struct.pack("<q", bits))
    return float(number)
