"""Whether two outputs hold the same bits, and if they do not, how far they are apart.

The invariant: memory does not grow with the number of rows, and what is said of some rows and of later ones
joins to what would be said of all.

>>> found = sameness(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.5, 4.0]), shard="0")
>>> found.rows_differing, found.first_differing, found.largest_absolute
(1, ('0', 1), 0.5)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from soaflow.distances import absolute_differences, magnitudes, rounded, same_bits, ulp_distances
from soaflow.envelope import Envelope, extended, is_envelope, joined
from soaflow.rows import VALUES_PER_CHUNK, Values, in_chunks
from soaflow.soa.layout import Item


@dataclass(frozen=True, slots=True)
class Sameness:
    """How far the values of an output are from others for the same rows.

    Parameters
    ----------
    rows
        Looked at.
    rows_differing
        Rows in which a bit differs; all NaN count as the same.
    mismatches
        Values of which one alone is NaN or that infinity.
    largest_absolute
        The largest difference of finite values, in the output's unit.
    largest_ulp
        The largest distance of finite values, in units in the last place; integers apart, their difference.
    first_differing
        Shard and row of the first row in which a bit differs; None if none does.
    envelope
        Of all differences, to judge them at any tolerance; see `soaflow.envelope`.

    Raises
    ------
    ValueError
        If the figures contradict one another.
    """

    rows: int
    rows_differing: int
    mismatches: int
    largest_absolute: float
    largest_ulp: int
    first_differing: tuple[str, int] | None
    envelope: Envelope

    def __post_init__(self) -> None:
        if min(self.rows, self.mismatches, self.largest_absolute, self.largest_ulp) < 0:
            raise ValueError("a number is negative")
        if not 0 <= self.rows_differing <= self.rows:
            raise ValueError(f"{self.rows_differing} of {self.rows} rows differ")
        if (self.rows_differing > 0) != (self.first_differing is not None):
            raise ValueError("the first row that differs contradicts the number of rows that differ")
        if not self.rows_differing and (self.mismatches or self.largest_absolute or self.largest_ulp):
            raise ValueError("no row differs, and a value does")
        highest = max((difference for _, difference in self.envelope), default=0.0)
        if not is_envelope(self.envelope) or highest != self.largest_absolute:
            raise ValueError("the envelope contradicts the largest difference")

    @classmethod
    def of_nothing(cls) -> Self:
        """Return what is said of no rows."""
        return cls(0, 0, 0, 0.0, 0, None, ())

    @property
    def same_bits(self) -> bool:
        """Whether no bit differs in any row."""
        return self.rows_differing == 0

    def joined(self, later: Self) -> Self:
        """Return what is to be said of these rows and of later ones."""
        return type(self)(
            self.rows + later.rows,
            self.rows_differing + later.rows_differing,
            self.mismatches + later.mismatches,
            max(self.largest_absolute, later.largest_absolute),
            max(self.largest_ulp, later.largest_ulp),
            self.first_differing or later.first_differing,
            joined(self.envelope, later.envelope),
        )


@dataclass(frozen=True, slots=True)
class OutputSameness:
    """The sameness of one item of the predictions.

    Parameters
    ----------
    item, unit
        Of the prediction collection.
    sameness
        Of its values.
    """

    item: str
    unit: str
    sameness: Sameness


def sameness(
    first: Values,
    other: Values,
    *,
    shard: str,
    values_per_chunk: int = VALUES_PER_CHUNK,
) -> Sameness:
    """Compare the values of an output with others for the same rows.

    Parameters
    ----------
    first, other
        Of one shape, rows first. Floating ones may differ in width: then `first` is rounded to the type of
        `other` before anything is compared.
    shard
        That the rows are of.
    values_per_chunk
        About so many values are looked at at a time, in whole rows.

    Raises
    ------
    ValueError
        If the arrays differ in shape, or in dtype other than in the width of floating numbers.
    """
    floating = first.dtype.kind == other.dtype.kind == "f"
    if first.shape != other.shape or not (floating or first.dtype == other.dtype):
        raise ValueError(f"the values are {first.dtype} {first.shape} and {other.dtype} {other.shape}")
    found = Sameness.of_nothing()
    for chunk in in_chunks(first.shape, values_per_chunk):
        found = found.joined(_of_chunk(first[chunk], other[chunk], shard, chunk.start))
    return found


def sameness_of_outputs(
    items: Sequence[Item], first: Mapping[str, Values], other: Mapping[str, Values], *, shard: str
) -> tuple[OutputSameness, ...]:
    """Compare the values of items by name; see `sameness`."""
    return tuple(
        OutputSameness(item.name, item.unit, sameness(first[item.name], other[item.name], shard=shard))
        for item in items
    )


def joined_outputs(
    outputs: Sequence[OutputSameness], later: Sequence[OutputSameness]
) -> tuple[OutputSameness, ...]:
    """Join what is said of the same items in some rows and in later ones."""
    return tuple(
        OutputSameness(one.item, one.unit, one.sameness.joined(other.sameness))
        for one, other in zip(outputs, later, strict=True)
    )


def _of_chunk(first: npt.NDArray[Any], other: npt.NDArray[Any], shard: str, begin: int) -> Sameness:
    expected, values = rounded(first.reshape(-1), other.dtype), other.reshape(-1)
    differs = ~same_bits(expected, values)
    rows = np.flatnonzero(differs.reshape(len(first), -1).any(axis=1))
    if not len(rows):
        return Sameness(len(first), 0, 0, 0.0, 0, None, ())
    expected, values = expected[differs], values[differs]
    finite = np.isfinite(expected) & np.isfinite(values)
    expected, values = expected[finite], values[finite]
    absolute = absolute_differences(expected, values)
    return Sameness(
        rows=len(first),
        rows_differing=len(rows),
        mismatches=int(np.count_nonzero(~finite)),
        largest_absolute=float(absolute.max(initial=0.0)),
        largest_ulp=int(ulp_distances(expected, values).max(initial=0)),
        first_differing=(shard, begin + int(rows[0])),
        envelope=extended((), magnitudes(expected), absolute),
    )
