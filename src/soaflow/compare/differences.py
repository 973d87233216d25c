"""Statistics of the differences between an output and its reference, a chunk of rows at a time.

The invariant: memory does not grow with the number of rows, and what is kept judges the output
at any tolerance without its values (see `soaflow.envelope`).

>>> found = differences(np.array([1.0, 2.0]), np.array([1.0, 2.5]))
>>> found.largest_absolute.row, found.largest_absolute.difference, found.over_at_most(0.1, 0.1)
(1, 0.5, 1)
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from soaflow.compare.exact import ExactSum
from soaflow.compare.figures import Differences
from soaflow.compare.histogram import Histogram, bin_numbers
from soaflow.compare.magnitudes import MagnitudeHistogram
from soaflow.compare.places import ROWS_KEPT, Largest, Place, WorstRow, worst_of
from soaflow.compare.ulp import UlpHistogram
from soaflow.distances import absolute_differences, magnitudes, rounded, same_bits, ulp_distances
from soaflow.envelope import Envelope, extended
from soaflow.rows import VALUES_PER_CHUNK, Values, in_chunks

_LARGEST = float(np.finfo(np.float64).max)

_LARGEST_SQUARABLE = 2.0**511


def differences(
    reference: Values,
    values: Values,
    *,
    shard: str = "",
    values_per_chunk: int = VALUES_PER_CHUNK,
) -> Differences:
    """Compare the values of an output with its reference.

    Parameters
    ----------
    reference, values
        Of one shape, rows first; they are read a chunk at a time from the first row on. Boolean and
        integer arrays are of one dtype; floating ones may differ in width, and are compared in float64.
    shard
        That the rows are of, to name places.
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
    running = _Running(reference.shape[1:], shard)
    for chunk in in_chunks(reference.shape, values_per_chunk):
        running.add(reference[chunk], values[chunk], chunk.start)
    return running.result(reference.shape[0])


class _Running:
    """The statistics of the chunks seen so far."""

    def __init__(self, shape: tuple[int, ...], shard: str) -> None:
        self.shape, self.shard = shape, shard
        self.elements = int(np.prod(shape))
        self.matched = self.nan = self.infinity = self.at_zero = 0
        self.identical_rows = self.too_large = 0
        self.first_mismatch: Place | None = None
        self.absolute, self.relative, self.ulp = Histogram.empty(), Histogram.empty(), UlpHistogram.empty()
        self.by_magnitude = MagnitudeHistogram.empty()
        names = ("absolute", "relative", "dot", "reference", "value")
        self.sums = dict.fromkeys(names, ExactSum.zero())
        self.smallest: dict[str, float | None] = {"absolute": None, "relative": None}
        self.largest: dict[str, Largest | None] = {"absolute": None, "relative": None}
        self.worst: tuple[WorstRow, ...] = ()
        self.envelope: Envelope = ()

    def add(self, reference: npt.NDArray[Any], values: npt.NDArray[Any], first_row: int) -> None:
        expected, found = reference.reshape(-1), values.reshape(-1)
        places = np.arange(len(expected)) + first_row * self.elements
        finite = np.isfinite(expected) & np.isfinite(found)
        whole = bool(finite.all())
        mismatched = places[:0] if whole else self._count_not_finite(expected, found, places, finite)
        identical = self._count_identical(expected, found)
        if not whole:
            everything = places, expected, found
            expected, found, places = expected[finite], found[finite], places[finite]
            identical = identical[finite]
        self._add_distances(expected, found, identical)
        difference, magnitude = absolute_differences(expected, found), magnitudes(expected)
        sizes = bin_numbers(difference)
        self.absolute = self.absolute.counting(sizes)
        self.by_magnitude = self.by_magnitude.counting(bin_numbers(magnitude), sizes)
        self.sums["absolute"] = self.sums["absolute"].adding(difference)
        self._keep_extremes("absolute", difference, (places, expected, found))
        self.envelope = extended(self.envelope, magnitude, difference)
        self._add_relative(difference, magnitude, (places, expected, found))
        self._add_products(expected.astype(np.float64), found.astype(np.float64))
        if len(mismatched):
            ranked = np.full(len(everything[0]), np.inf)
            ranked[finite] = difference
            # Matching NaN and infinities do not differ.
            ranked[~finite & ~np.isin(everything[0], mismatched)] = 0.0
            self._keep_worst(ranked, everything)
        else:
            self._keep_worst(difference, (places, expected, found))

    def _count_identical(self, expected: npt.NDArray[Any], found: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        identical = same_bits(rounded(expected, found.dtype), found)
        rows = identical if self.elements == 1 else identical.reshape(-1, self.elements).all(axis=1)
        self.identical_rows += int(np.count_nonzero(rows))
        return identical

    def _add_distances(
        self, expected: npt.NDArray[Any], found: npt.NDArray[Any], identical: npt.NDArray[np.bool_]
    ) -> None:
        other = ~identical
        away = ulp_distances(expected[other], found[other])
        self.ulp = self.ulp.adding(away, zeros=len(found) - len(away))

    def _add_relative(
        self,
        difference: npt.NDArray[np.float64],
        magnitude: npt.NDArray[np.float64],
        where: tuple[npt.NDArray[Any], ...],
    ) -> None:
        nonzero = magnitude > 0
        if not nonzero.all():
            self.at_zero += int(np.count_nonzero(difference[~nonzero]))
            difference, magnitude = difference[nonzero], magnitude[nonzero]
            where = tuple(array[nonzero] for array in where)
        with np.errstate(over="ignore"):
            relative = np.minimum(difference / magnitude, _LARGEST)
        self.relative = self.relative.adding(relative)
        self.sums["relative"] = self.sums["relative"].adding(relative)
        self._keep_extremes("relative", relative, where)

    def _add_products(self, expected: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> None:
        squarable = np.maximum(np.abs(expected), np.abs(found)) <= _LARGEST_SQUARABLE
        if not squarable.all():
            self.too_large += int(np.count_nonzero(~squarable))
            expected, found = expected[squarable], found[squarable]
        with np.errstate(under="ignore"):
            products = {"dot": expected * found, "reference": expected**2, "value": found**2}
        for name, product in products.items():
            self.sums[name] = self.sums[name].adding(product)

    def _count_not_finite(
        self,
        expected: npt.NDArray[Any],
        found: npt.NDArray[Any],
        places: npt.NDArray[np.int64],
        finite: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.int64]:
        """Count the pairs that are not finite, and return the places of those that do not match."""
        nan = np.isnan(expected) != np.isnan(found)
        same = (np.isnan(expected) & np.isnan(found)) | (~finite & (expected == found))
        self.matched += int(np.count_nonzero(same))
        self.nan += int(np.count_nonzero(nan))
        self.infinity += int(np.count_nonzero(~finite & ~nan & ~same))
        mismatched: npt.NDArray[np.int64] = places[~finite & ~same]
        if self.first_mismatch is None and len(mismatched):
            self.first_mismatch = Place(self.shard, int(mismatched[0]) // self.elements)
        return mismatched

    def _keep_extremes(
        self, name: str, difference: npt.NDArray[np.float64], where: tuple[npt.NDArray[Any], ...]
    ) -> None:
        if not len(difference):
            return
        smallest = self.smallest[name]
        if smallest is None or smallest > 0:
            self.smallest[name] = min(float(difference.min()), np.inf if smallest is None else smallest)
        index = int(np.argmax(difference))
        before = self.largest[name]
        if difference[index] <= (0.0 if before is None else before.difference):
            return
        place, reference, value = (array[index] for array in where)
        row, element = self._row_and_element(int(place))
        self.largest[name] = Largest(
            float(difference[index]), row, element, float(reference), float(value), self.shard
        )

    def _keep_worst(self, ranked: npt.NDArray[np.float64], where: tuple[npt.NDArray[Any], ...]) -> None:
        """Keep the worst rows of those kept and these; `ranked` is infinite where numbers mismatch."""
        full = len(self.worst) == ROWS_KEPT
        last = self.worst[-1].difference if full else 0.0
        threshold = np.inf if last is None else last
        chosen = np.flatnonzero(ranked > threshold)
        # A row may be chosen once for each of its elements.
        enough = ROWS_KEPT * self.elements
        if len(chosen) > enough:
            least = np.partition(ranked[chosen], -enough)[-enough]
            chosen = chosen[ranked[chosen] >= least]
        best: dict[int, int] = {}
        for index in chosen[np.argsort(-ranked[chosen], kind="stable")].tolist():
            best.setdefault(int(where[0][index]) // self.elements, index)
            if len(best) == ROWS_KEPT:
                break
        self.worst = worst_of([*self.worst, *(self._worst_row(ranked, where, i) for i in best.values())])

    def _worst_row(
        self, ranked: npt.NDArray[np.float64], where: tuple[npt.NDArray[Any], ...], index: int
    ) -> WorstRow:
        row, element = self._row_and_element(int(where[0][index]))
        difference = None if np.isinf(ranked[index]) else float(ranked[index])
        reference, value = (str(array[index].item()) for array in where[1:])
        return WorstRow(self.shard, row, element, difference, reference, value)

    def _row_and_element(self, place: int) -> tuple[int, tuple[int, ...]]:
        row, element = divmod(place, self.elements)
        return row, tuple(int(i) for i in np.unravel_index(element, self.shape)) if self.shape else ()

    def result(self, rows: int) -> Differences:
        return Differences(
            rows=rows,
            values=rows * self.elements,
            matched_not_finite=self.matched,
            mismatched_nan=self.nan,
            mismatched_infinity=self.infinity,
            first_mismatch=self.first_mismatch,
            differing_at_zero=self.at_zero,
            rows_bit_identical=self.identical_rows,
            smallest_absolute=self.smallest["absolute"],
            largest_absolute=self.largest["absolute"],
            sum_absolute=self.sums["absolute"],
            smallest_relative=self.smallest["relative"],
            largest_relative=self.largest["relative"],
            sum_relative=self.sums["relative"],
            dot=self.sums["dot"],
            reference_squared=self.sums["reference"],
            value_squared=self.sums["value"],
            too_large_to_square=self.too_large,
            absolute=self.absolute,
            relative=self.relative,
            by_magnitude=self.by_magnitude,
            ulp=self.ulp,
            worst=self.worst,
            envelope=self.envelope,
        )
