"""From which batch size on a GPU is faster than the CPU.

>>> round(wins_from({1: 1.0, 100: 10.0, 10000: 1000.0}, {1: 10.0, 100: 10.0, 10000: 20.0}))
100
"""

import math
from collections.abc import Mapping
from itertools import pairwise


def wins_from(cpu: Mapping[int, float], gpu: Mapping[int, float]) -> float | None:
    """Return the rows of a call from which the GPU is faster, whatever larger batch was measured.

    Parameters
    ----------
    cpu, gpu
        Seconds of a call by its rows, each of the fastest variant there; for the same rows.

    Returns
    -------
    float or None
        Interpolated between the logarithms of rows and seconds; the least rows measured if the GPU is always
        faster, and None if it is not for the most rows.

    Raises
    ------
    ValueError
        If they were measured for other rows.
    """
    if cpu.keys() != gpu.keys() or not cpu:
        raise ValueError(f"rows {sorted(cpu)} and {sorted(gpu)} cannot be compared")
    leads = [(rows, math.log(cpu[rows] / gpu[rows])) for rows in sorted(cpu)]
    if leads[-1][1] <= 0:
        return None
    for (low, before), (high, after) in reversed(list(pairwise(leads))):
        if before <= 0:
            share = before / (before - after)
            return math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    return float(leads[0][0])
