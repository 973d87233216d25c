"""Where a difference is: shard, row and element; and the worst rows with their inputs.

The invariant: of several places with the same difference the first is kept, in the order of shard, row and
element, so what is kept does not depend on the order in which shards are merged.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

ROWS_KEPT = 5
"""How many of the worst rows are kept."""


@dataclass(frozen=True, slots=True)
class Place:
    """A row of a shard.

    Parameters
    ----------
    shard
        Its name; empty where it is not known.
    row
        Of the shard, from 0.
    """

    shard: str
    row: int


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
    shard
        That the row is of; empty where it is not known.
    """

    difference: float
    row: int
    element: tuple[int, ...]
    reference: float
    value: float
    shard: str = ""


@dataclass(frozen=True, slots=True)
class InputValue:
    """What an item of the events holds in a row.

    Parameters
    ----------
    item
        As `collection/name`.
    values
        Of the row's block in row-major order, written out, so that NaN and infinity can stand here too.
    """

    item: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorstRow:
    """One of the rows that are the furthest from the reference.

    Parameters
    ----------
    shard, row
        Where it is.
    element
        Index in the row's block of the largest difference, the first of several; empty for a column.
    difference
        The largest absolute difference in the row, in the output's unit; None where only one of the two
        numbers is a NaN or that infinity, which is worse than any difference.
    reference, value
        The two numbers, written out.
    inputs
        Of the row; empty where the events were not given.
    """

    shard: str
    row: int
    element: tuple[int, ...]
    difference: float | None
    reference: str
    value: str
    inputs: tuple[InputValue, ...] = ()


def worst_of(rows: Iterable[WorstRow]) -> tuple[WorstRow, ...]:
    """Return the `ROWS_KEPT` worst rows, the worst first."""
    return tuple(sorted(rows, key=_badness)[:ROWS_KEPT])


def larger(first: Largest | None, other: Largest | None) -> Largest | None:
    """Return the larger of two differences, or the first in place if they are equal."""
    known = [largest for largest in (first, other) if largest is not None]
    return min(
        known,
        key=lambda largest: (-largest.difference, place_order(largest.shard, largest.row), largest.element),
        default=None,
    )


def earlier(first: Place | None, other: Place | None) -> Place | None:
    """Return the first of two places."""
    known = [place for place in (first, other) if place is not None]
    return min(known, key=lambda place: place_order(place.shard, place.row), default=None)


def place_order(shard: str, row: int) -> tuple[Any, ...]:
    """Return what orders places: numbers inside a shard's name count as numbers, so 2 is before 10."""
    parts = re.split(r"(\d+)", shard)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], shard, row


def _badness(row: WorstRow) -> tuple[Any, ...]:
    return -(math.inf if row.difference is None else row.difference), place_order(row.shard, row.row)
