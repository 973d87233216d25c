"""Exact order of more values than fit into memory.

Floats are ordered like integers (see `soaflow.compare.ulp.ordered`). The values are counted by the highest
16 bits of these integers; neighbouring counts are taken together as long as they fit, and a range that does
not fit is counted by its next 16 bits. Each range is then small enough to be sorted, or is one number.

The invariant: the stream of values is read again and again and never kept; results are exact and depend
neither on its order nor on its chunks.

>>> marked = np.array([True, True]), np.array([False])
>>> stream = lambda: zip((np.array([3.0, 1.0]), np.array([2.0])), marked)
>>> [piece.values.tolist() for piece in pieces(stream, rows_at_a_time=2)]
[[1.0, 2.0], [3.0]]
>>> quantiles(stream, (0.5, 0.75))
(2.0, 2.5)
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from soaflow.distances import ordered

Stream = Callable[[], Iterable[tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]]]
"""Gives all values, each with a mark, chunk by chunk; and again with each call. Shape `(n,)`; no NaN."""

ROWS_AT_A_TIME = 1 << 20
"""How many values are sorted at a time; bounds the memory."""

_BITS = 16
"""Of the counts: 65536 of them."""

_LOWEST = -(1 << 63)


@dataclass(frozen=True, slots=True)
class Piece:
    """Neighbouring values in rising order, each value once.

    Parameters
    ----------
    values
        Shape `(n,)`, float64.
    marked, unmarked
        How often each value comes with and without a mark. Shape `(n,)`, int64.
    """

    values: npt.NDArray[np.float64]
    marked: npt.NDArray[np.int64]
    unmarked: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Range:
    """Ordered integers from `first` to `last`, both included, and how many values lie there."""

    first: int
    last: int
    rows: int


def pieces(stream: Stream, *, rows_at_a_time: int = ROWS_AT_A_TIME) -> Iterator[Piece]:
    """Yield all values in rising order, in pieces of at most so many rows or of one value."""
    for found in _ranges(stream, _LOWEST, 64, rows_at_a_time):
        yield _piece(stream, found)


def quantiles(
    stream: Stream, shares: Sequence[float], *, rows_at_a_time: int = ROWS_AT_A_TIME
) -> tuple[float, ...] | None:
    """Return quantiles, marked or not, as `numpy.quantile` does: linear between neighbours.

    Parameters
    ----------
    stream
        Of finite values.
    shares
        From 0 to 1.
    rows_at_a_time
        Values that are sorted at a time.

    Returns
    -------
    tuple
        One for each share; None without values.
    """
    ranges = list(_ranges(stream, _LOWEST, 64, rows_at_a_time))
    rows = sum(found.rows for found in ranges)
    if not rows:
        return None
    places = [(rows - 1) * share for share in shares]
    wanted = {rank for place in places for rank in (int(place), min(int(place) + 1, rows - 1))}
    at_rank, before = dict[int, float](), 0
    for found in ranges:
        inside = [rank for rank in wanted if before <= rank < before + found.rows]
        if inside:
            piece = _piece(stream, found)
            last = before + np.cumsum(piece.marked + piece.unmarked) - 1
            for rank in inside:
                at_rank[rank] = float(piece.values[np.searchsorted(last, rank)])
        before += found.rows
    return tuple(
        float(np.quantile([at_rank[int(place)], at_rank[min(int(place) + 1, rows - 1)]], place - int(place)))
        for place in places
    )


def _ranges(stream: Stream, first: int, bits: int, rows_at_a_time: int) -> Iterator[_Range]:
    """Yield, rising, the ranges that hold the values from `first` to below `first + 2**bits`."""
    shift = bits - _BITS
    counts = np.zeros(1 << _BITS, np.int64)
    for keys, _ in _keys_between(stream, first, first + (1 << bits) - 1):
        counts += np.bincount((keys >> shift) - (first >> shift), minlength=1 << _BITS)
    begin, rows = first, 0
    for index in np.flatnonzero(counts).tolist():
        count, low = int(counts[index]), first + (index << shift)
        if rows and rows + count > rows_at_a_time:
            yield _Range(begin, low - 1, rows)
            begin, rows = low, 0
        if count > rows_at_a_time and shift:
            yield from _ranges(stream, low, shift, rows_at_a_time)
            begin = low + (1 << shift)
        elif count > rows_at_a_time:
            yield _Range(low, low, count)
            begin = low + 1
        else:
            rows += count
    if rows:
        yield _Range(begin, first + (1 << bits) - 1, rows)


def _keys_between(
    stream: Stream, first: int, last: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]]:
    everything = last - first == (1 << 64) - 1
    for values, marks in stream():
        keys = ordered(values)
        if everything:
            yield keys, marks
            continue
        inside = (keys >= first) & (keys <= last)
        yield keys[inside], marks[inside]


def _piece(stream: Stream, found: _Range) -> Piece:
    chunks = _keys_between(stream, found.first, found.last)
    if found.first == found.last:
        count = sum(int(np.count_nonzero(marks)) for _, marks in chunks)
        return Piece(_values_of(np.array([found.first])), np.array([count]), np.array([found.rows - count]))
    gathered = list(chunks)
    keys = np.concatenate([keys for keys, _ in gathered])
    chosen, counts = np.unique(keys[np.concatenate([marks for _, marks in gathered])], return_counts=True)
    keys, of_all = np.unique(keys, return_counts=True)
    marked = np.zeros(len(keys), np.int64)
    marked[np.searchsorted(keys, chosen)] = counts
    return Piece(_values_of(keys), marked, of_all - marked)


def _values_of(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the float64 numbers of ordered integers."""
    bits: npt.NDArray[Any] = np.where(keys < 0, np.iinfo(np.int64).min - keys, keys)
    return bits.view(np.float64)
