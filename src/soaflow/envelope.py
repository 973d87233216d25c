"""The few values that decide whether an output passes at any tolerance.

A value with magnitude `m = |reference|` and difference `d` passes when `d <= absolute + relative * m`.
So an output passes when `max(d - relative * m) <= absolute`, a maximum of straight lines in
`relative`. The lines that reach it for some `relative >= 0` belong to the upper left convex hull of
the points `(m, d)`: a handful of points, whatever the number of values.

The invariant: for every `relative >= 0`, `max(d - relative * m)` over an envelope equals the maximum
over all values it was made from.

>>> envelope = extended((), np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.1, 0.9]))
>>> envelope
((1.0, 0.5), (3.0, 0.9))
>>> needed = minimum_absolute(envelope, relative=0.2)
>>> round(needed, 9), holds(envelope, needed, 0.2), holds(envelope, np.nextafter(needed, 0), 0.2)
(0.3, True, False)
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from soaflow.thresholds import smallest_passing

Point = tuple[float, float]
"""Magnitude of the reference and absolute difference of one value."""

Envelope = tuple[Point, ...]
"""Points of the hull, magnitude and difference both rising."""


def extended(
    envelope: Envelope, magnitudes: npt.NDArray[np.float64], differences: npt.NDArray[np.float64]
) -> Envelope:
    """Return the envelope of earlier values and further ones.

    Parameters
    ----------
    envelope
        Of the earlier values.
    magnitudes, differences
        Of the further values: one dimension, finite, 0 or more.
    """
    differing = _above(envelope, magnitudes, differences)
    magnitudes, differences = magnitudes[differing], differences[differing]
    order = np.lexsort((-differences, magnitudes))
    magnitudes, differences = magnitudes[order], differences[order]
    largest_before = np.concatenate(([0.0], np.maximum.accumulate(differences)[:-1]))[: len(differences)]
    rising = differences > largest_before
    points = zip(magnitudes[rising].tolist(), differences[rising].tolist(), strict=True)
    return _hull(sorted([*envelope, *points], key=lambda point: (point[0], -point[1])))


def joined(first: Envelope, other: Envelope) -> Envelope:
    """Return the envelope of the values of both."""
    return _hull(sorted([*first, *other], key=lambda point: (point[0], -point[1])))


def minimum_absolute(envelope: Envelope, relative: float) -> float:
    """Return the smallest float64 that, as absolute tolerance beside a relative one, lets all values pass."""
    return smallest_passing(lambda absolute: holds(envelope, absolute, relative)) or 0.0


def minimum_relative(envelope: Envelope, absolute: float) -> float | None:
    """Return the smallest float64 that, as relative tolerance beside an absolute one, lets all values pass.

    None when there is none: a difference above `absolute` where the reference is zero.
    """
    return smallest_passing(lambda relative: holds(envelope, absolute, relative))


def holds(envelope: Envelope, absolute: float, relative: float) -> bool:
    """Say whether all values pass, by the very inequality that a single value is judged with."""
    return all(difference <= absolute + relative * magnitude for magnitude, difference in envelope)


def is_envelope(points: Sequence[Point]) -> bool:
    """Say whether points could have come from `extended`."""
    return all(0 <= low[0] < high[0] and 0 < low[1] < high[1] for low, high in pairwise(points)) and all(
        magnitude >= 0 and difference > 0 for magnitude, difference in points
    )


def _above(
    envelope: Envelope, magnitudes: npt.NDArray[np.float64], differences: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Leave out, cheaply, values that surely lie under the envelope: most of a long output."""
    above: npt.NDArray[np.bool_] = differences > 0
    if envelope:
        known = np.array(envelope)
        # The interpolation rounds, and overflows beside tiny magnitudes: keep a value when in doubt.
        height = np.interp(magnitudes, known[:, 0], known[:, 1], left=0.0) * (1 - 1e-9)
        above &= (differences > height) | ~np.isfinite(height)
    return above


def _hull(points: Sequence[Point]) -> Envelope:
    """Walk along rising points and drop those on or under the line of their neighbours, exactly."""
    hull: list[Point] = []
    for point in points:
        if hull and point[1] <= hull[-1][1]:
            continue
        while len(hull) > 1 and not _turns_right(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    return tuple(hull)


def _turns_right(first: Point, middle: Point, last: Point) -> bool:
    (x0, y0), (x1, y1), (x2, y2) = ((Fraction(x), Fraction(y)) for x, y in (first, middle, last))
    return (x1 - x0) * (y2 - y0) < (x2 - x0) * (y1 - y0)
