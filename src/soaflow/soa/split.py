"""Which rows of a file are trained on and which are kept back for validation.

The invariant: an event is on one side only, and the validation rows are spread over the whole file:
it is cut into stripes of equal numbers of events, and the last events of each stripe are for
validation. Training and report both ask here, so they agree row by row.

>>> split_rows(rows=20, fraction=0.2)
Split(training=((0, 4), (5, 9), (10, 14), (15, 19)), validation=((4, 5), (9, 10), (14, 15), (19, 20)))
>>> event = np.array([0, 0, 0, 2, 3, 3, 4, 5, 5])
>>> split_rows(rows=9, fraction=0.5, event=event)
Split(training=((0, 3), (4, 7)), validation=((3, 4), (7, 9)))
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from soaflow.errors import StorageError
from soaflow.soa.layout import EVENT_ITEM, EVENTS_COLLECTION, ItemKind
from soaflow.soa.storage import FileHeader, map_blob

MOST_STRIPES = 10
"""A file of fewer validation events has as many stripes as it has of them."""

RowRanges = tuple[tuple[int, int], ...]
"""First row and end of each range, in the order of the file; none is empty."""


@dataclass(frozen=True, slots=True)
class Split:
    """The rows of a collection, each on one side.

    Parameters
    ----------
    training, validation
        Ranges of rows that do not touch others of their side.
    """

    training: RowRanges
    validation: RowRanges

    @property
    def training_rows(self) -> int:
        """Number of rows to train on."""
        return sum(end - begin for begin, end in self.training)

    @property
    def validation_rows(self) -> int:
        """Number of rows that are kept back."""
        return sum(end - begin for begin, end in self.validation)


def split_rows(rows: int, fraction: float, event: npt.NDArray[np.integer[Any]] | None = None) -> Split:
    """Split rows by event.

    Parameters
    ----------
    rows
        Number of rows.
    fraction
        Of the events that have rows, those for validation: `int(events * fraction)` of them; from 0
        to below 1.
    event
        Event of each row, never falling: integers of shape `(rows,)`. None if each row is an event.

    Raises
    ------
    ValueError
        If the event falls from one row to the next.
    """
    first_rows = None if event is None else _first_rows(event)
    events = rows if first_rows is None else len(first_rows) - 1
    stripes = max(1, min(MOST_STRIPES, int(events * fraction)))
    cuts = [0]
    for stripe in range(stripes):
        begin, end = events * stripe // stripes, events * (stripe + 1) // stripes
        kept_back = int(end * fraction) - int(begin * fraction)
        cuts += [end - kept_back, end]
    if first_rows is not None:
        cuts = first_rows[cuts].tolist()
    return Split(
        _joined(zip(cuts[0:-1:2], cuts[1::2], strict=True)),
        _joined(zip(cuts[1::2], cuts[2::2], strict=True)),
    )


def split_collection(header: FileHeader, collection: str, fraction: float) -> Split:
    """Split the rows of a file's collection by its item `event`.

    Parameters
    ----------
    header
        Of the file.
    collection
        Each row is an event if it is `events` or has no such item.
    fraction
        Of the events, those for validation; from 0 to below 1.

    Raises
    ------
    StorageError
        If there is no such collection, or its rows are not in the order of their events.
    """
    placement = header.collection(collection).placement
    event = None
    if collection != EVENTS_COLLECTION and EVENT_ITEM in placement.layout:
        item = placement.layout[EVENT_ITEM]
        if item.kind is ItemKind.COLUMN and "int" in item.dtype:
            event = map_blob(header, collection).array(EVENT_ITEM)
    try:
        return split_rows(placement.rows, fraction, event)
    except ValueError as error:
        raise StorageError(
            f"{header.path}: the rows of collection '{collection}' are not in the order of its item "
            f"'{EVENT_ITEM}': make the events again, sorted by event"
        ) from error


def _first_rows(event: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
    """Return the first row of each event that has rows, and the end of the last one."""
    if np.any(event[1:] < event[:-1]):
        raise ValueError("the event falls from one row to the next")
    begins = np.flatnonzero(event[1:] != event[:-1]) + 1
    return np.concatenate([[0], begins, [len(event)] if len(event) else []]).astype(np.int64)


def _joined(ranges: Iterable[tuple[int, int]]) -> RowRanges:
    joined: list[tuple[int, int]] = []
    for begin, end in ranges:
        if joined and joined[-1][1] == begin:
            begin = joined.pop()[0]  # noqa: PLW2901
        if begin < end:
            joined.append((begin, end))
    return tuple(joined)
