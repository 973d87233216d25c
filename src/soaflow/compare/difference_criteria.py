"""The questions that the differences of an output answer: tolerance, NaN and infinities, yardstick.

The invariant: the figures, the tolerance and the yard alone decide, so they are asked again at any time.

>>> import numpy as np
>>> from soaflow.compare.differences import differences
>>> found = differences(np.array([1.0, 2.0]), np.array([1.0, 2.5]))
>>> [criterion.passed for criterion in criteria_of(found, Tolerance(0.1, 0.0), unit="GeV")]
[False, True]
"""

from soaflow.compare.criteria import Criterion, at_least
from soaflow.compare.envelope import minimum_absolute, minimum_relative
from soaflow.compare.figures import Differences
from soaflow.compare.places import Largest, Place
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.yard import Yard

TOLERANCE, NOT_FINITE = "tolerance", "not finite"
"""Names of questions; those of the yardstick are in `soaflow.compare.yard`."""


def criteria_of(
    found: Differences, tolerance: Tolerance, *, unit: str, yard: Yard | None = None
) -> tuple[Criterion, ...]:
    """Return the questions of an output and their answers.

    Parameters
    ----------
    found
        The figures of all its rows.
    tolerance
        The question is which absolute tolerance all values need beside its relative one.
    unit
        Of the output.
    yard
        The error of eager float32; None where it is not known.
    """
    asked = (_within_tolerance(found, tolerance, unit), _finite(found))
    return asked if yard is None else (*asked, *yard.criteria(found, unit))


def _within_tolerance(found: Differences, tolerance: Tolerance, unit: str) -> Criterion:
    needed = minimum_absolute(found.envelope, tolerance.relative)
    details = [f"beside {tolerance.relative:g} times the reference"]
    if needed > tolerance.absolute:
        over = found.over_at_most(tolerance.absolute, tolerance.relative)
        details += [
            f"at most {over} of {found.values} values are over",
            *([] if found.largest_absolute is None else [_described(found.largest_absolute, unit)]),
        ]
        relative = minimum_relative(found.envelope, tolerance.absolute)
        details += [] if relative is None else [f"or {at_least(relative)} times the reference would pass"]
    return Criterion(TOLERANCE, needed, tolerance.absolute, needed, unit, "; ".join(details))


def _finite(found: Differences) -> Criterion:
    place = found.first_mismatch
    detail = (
        ""
        if place is None
        else f"{found.mismatched_nan} NaN and {found.mismatched_infinity} infinities on one side only, the "
        f"first at {_named(place)}"
    )
    count = float(found.mismatches)
    return Criterion(NOT_FINITE, count, 0.0, None if count else 0.0, "values", detail)


def _described(largest: Largest, unit: str) -> str:
    element = f", element {list(largest.element)}" if largest.element else ""
    unit = f" {unit}" if unit else ""
    return (
        f"the largest difference is {largest.difference:.6g}{unit} at "
        f"{_named(Place(largest.shard, largest.row))}{element} "
        f"({largest.value:.9g}, reference {largest.reference:.9g})"
    )


def _named(place: Place) -> str:
    return f"shard {place.shard}, row {place.row}" if place.shard else f"row {place.row}"
