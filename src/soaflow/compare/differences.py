"""Statistics of the differences between an output and its reference, a chunk of rows at a time.

The invariant: memory does not grow with the number of rows, and what is kept judges the output again
at any other tolerance without its values (see `soaflow.compare.envelope`).

>>> found = differences(np.array([1.0, 2.0]), np.array([1.0, 2.5]), Tolerance(0.1, 0.1))
>>> found.over_tolerance, found.largest_absolute.row, found.largest_absolute.difference
(1, 1, 0.5)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from soaflow.compare.envelope import Envelope, extended, is_envelope
from soaflow.compare.histogram import Histogram
from soaflow.compare.tolerances import Tolerance

VALUES_PER_CHUNK = 1 << 18
"""Values compared at a time; bounds the memory, and changes no statistic but the last bits of means."""

_LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True)
class Largest:
    """The largest difference and where it is.

    Parameters
    ----------
    difference
        Absolute (in the output's unit) or relative (without unit).
    row
        Of the output, from 0; the first row if several share the difference.
    element
        Index in the row's block; empty for a column.
    reference, value
        The two numbers.
    """

    difference: float
    row: int
    element: tuple[int, ...]
    reference: float
    value: float


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
        Row of the first of these mismatches; None if there is none.
    differing_at_zero
        Values that differ where the reference is zero, so that they have no relative difference.
    over_tolerance
        Values with a finite difference over the tolerance; None if it is not known, because the
        output was judged again at another tolerance.
    largest_absolute, largest_relative
        None if no value differs.
    mean_absolute, mean_relative
        Over all values that have such a difference; 0 if there are none.
    absolute, relative
        Histograms of the differences.
    envelope
        The points that decide at any tolerance.

    Raises
    ------
    ValueError
        If the counts contradict one another.
    """

    rows: int
    values: int
    matched_not_finite: int
    mismatched_nan: int
    mismatched_infinity: int
    first_mismatch: int | None
    differing_at_zero: int
    over_tolerance: int | None
    largest_absolute: Largest | None
    mean_absolute: float
    largest_relative: Largest | None
    mean_relative: float
    absolute: Histogram
    relative: Histogram
    envelope: Envelope

    def __post_init__(self) -> None:
        finite = self.values - self.matched_not_finite - self.mismatches
        largest = 0.0 if self.largest_absolute is None else self.largest_absolute.difference
        consistent = {
            "absolute does not count each finite value once": self.absolute.total == finite,
            "relative and differing_at_zero count more than the finite values": (
                self.relative.total + self.differing_at_zero <= finite
            ),
            "first_mismatch does not fit the mismatches": (self.first_mismatch is None)
            == (not self.mismatches),
            "envelope is not rising": is_envelope(self.envelope),
            "envelope does not end at largest_absolute": (
                max((point[1] for point in self.envelope), default=0.0) == largest
            ),
            "over_tolerance is not a count of differing values": (
                0 <= (self.over_tolerance or 0) <= finite - self.absolute.zeros
            ),
        }
        for contradiction, holds in consistent.items():
            if not holds:
                raise ValueError(contradiction)

    @property
    def mismatches(self) -> int:
        """Values where only one of the two is a NaN or that infinity: they fail at any tolerance."""
        return self.mismatched_nan + self.mismatched_infinity


def differences(
    reference: npt.NDArray[Any],
    values: npt.NDArray[Any],
    tolerance: Tolerance,
    *,
    values_per_chunk: int = VALUES_PER_CHUNK,
) -> Differences:
    """Compare the values of an output with its reference.

    Parameters
    ----------
    reference, values
        Of one shape, rows first; a scalar counts as one row. Boolean and integer arrays are of one
        dtype; floating ones may differ in width, and are compared in float64.
    tolerance
        To count the values over it.
    values_per_chunk
        About so many values are looked at at a time, in whole rows.

    Raises
    ------
    ValueError
        If the arrays differ in shape, or in dtype other than in the width of floating numbers.
    """
    floating = reference.dtype.kind == values.dtype.kind == "f"
    if reference.shape != values.shape or not (floating or reference.dtype == values.dtype):
        raise ValueError(
            f"the reference is {reference.dtype} {reference.shape}, the values {values.dtype} {values.shape}"
        )
    reference, values = np.atleast_1d(reference), np.atleast_1d(values)
    rows, shape = len(reference), reference.shape[1:]
    running = _Running(tolerance, shape)
    step = max(1, values_per_chunk // max(1, int(np.prod(shape))))
    for begin in range(0, rows, step):
        running.add(reference[begin : begin + step], values[begin : begin + step], begin)
    return running.result(rows)


class _Running:
    """The statistics of the chunks seen so far."""

    def __init__(self, tolerance: Tolerance, shape: tuple[int, ...]) -> None:
        self.tolerance, self.shape = tolerance, shape
        self.elements = int(np.prod(shape))
        self.matched = self.nan = self.infinity = self.at_zero = self.over = 0
        self.first_mismatch: int | None = None
        self.absolute, self.relative = Histogram.empty(), Histogram.empty()
        self.absolute_sum = self.relative_sum = 0.0
        self.largest: dict[str, Largest | None] = {"absolute": None, "relative": None}
        self.envelope: Envelope = ()

    def add(self, reference: npt.NDArray[Any], values: npt.NDArray[Any], first_row: int) -> None:
        expected, found = reference.reshape(-1), values.reshape(-1)
        places = np.arange(len(expected)) + first_row * self.elements
        finite = self._count_not_finite(expected, found, places)
        expected, found, places = expected[finite], found[finite], places[finite]
        difference, magnitude = _absolute_difference(expected, found), _magnitude(expected)
        with np.errstate(over="ignore"):
            self.over += int(
                np.count_nonzero(difference > self.tolerance.absolute + self.tolerance.relative * magnitude)
            )
        self.absolute = self.absolute.adding(difference)
        self.absolute_sum = min(self.absolute_sum + _capped_sum(difference), _LARGEST)
        self._keep_largest("absolute", difference, (places, expected, found))
        self.envelope = extended(self.envelope, magnitude, difference)
        self._add_relative(difference, magnitude, (places, expected, found))

    def _add_relative(
        self,
        difference: npt.NDArray[np.float64],
        magnitude: npt.NDArray[np.float64],
        where: tuple[npt.NDArray[Any], ...],
    ) -> None:
        nonzero = magnitude > 0
        self.at_zero += int(np.count_nonzero(difference[~nonzero]))
        with np.errstate(over="ignore"):
            relative = np.minimum(difference[nonzero] / magnitude[nonzero], _LARGEST)
        self.relative = self.relative.adding(relative)
        self.relative_sum = min(self.relative_sum + _capped_sum(relative), _LARGEST)
        self._keep_largest("relative", relative, tuple(array[nonzero] for array in where))

    def _count_not_finite(
        self, expected: npt.NDArray[Any], found: npt.NDArray[Any], places: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        finite: npt.NDArray[np.bool_] = np.isfinite(expected) & np.isfinite(found)
        if finite.all():
            return finite
        nan = np.isnan(expected) != np.isnan(found)
        same = (np.isnan(expected) & np.isnan(found)) | (~finite & (expected == found))
        self.matched += int(np.count_nonzero(same))
        self.nan += int(np.count_nonzero(nan))
        self.infinity += int(np.count_nonzero(~finite & ~nan & ~same))
        mismatched = places[~finite & ~same]
        if self.first_mismatch is None and len(mismatched):
            self.first_mismatch = int(mismatched[0]) // self.elements
        return finite

    def _keep_largest(
        self, name: str, difference: npt.NDArray[np.float64], where: tuple[npt.NDArray[Any], ...]
    ) -> None:
        if not len(difference):
            return
        index = int(np.argmax(difference))
        before = self.largest[name]
        if difference[index] <= (0.0 if before is None else before.difference):
            return
        place, reference, value = (array[index] for array in where)
        row, element = divmod(int(place), self.elements)
        index_in_block = tuple(int(i) for i in np.unravel_index(element, self.shape)) if self.shape else ()
        self.largest[name] = Largest(
            float(difference[index]), row, index_in_block, float(reference), float(value)
        )

    def result(self, rows: int) -> Differences:
        return Differences(
            rows=rows,
            values=rows * self.elements,
            matched_not_finite=self.matched,
            mismatched_nan=self.nan,
            mismatched_infinity=self.infinity,
            first_mismatch=self.first_mismatch,
            differing_at_zero=self.at_zero,
            over_tolerance=self.over,
            largest_absolute=self.largest["absolute"],
            mean_absolute=self.absolute_sum / max(1, self.absolute.total),
            largest_relative=self.largest["relative"],
            mean_relative=self.relative_sum / max(1, self.relative.total),
            absolute=self.absolute,
            relative=self.relative,
            envelope=self.envelope,
        )


def _absolute_difference(reference: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
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


def _magnitude(reference: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    magnitude: npt.NDArray[np.float64] = np.abs(reference.astype(np.float64))
    return magnitude


def _capped_sum(differences_found: npt.NDArray[np.float64]) -> float:
    with np.errstate(over="ignore"):
        return min(float(np.sum(differences_found)), _LARGEST)
