"""Exact order in bounded memory against NumPy's sorting of everything."""

import itertools
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from soaflow.compare.ordering import Stream, pieces, quantiles

FEW = st.sampled_from(
    [-np.inf, -1e300, -1.0, -5e-324, -0.0, 0.0, 5e-324, 0.5, np.nextafter(0.5, 1), 1.0, np.inf]
)
VALUES = hnp.arrays(np.float64, st.integers(0, 60), elements=FEW | st.floats(allow_nan=False))
FINITE = hnp.arrays(
    np.float64,
    st.integers(0, 60),
    elements=st.floats(-1e150, 1e150, allow_subnormal=True) | st.sampled_from([1.0, 2.0]),
)


def stream_of(values: np.ndarray[Any, Any], marks: np.ndarray[Any, Any], rows: int) -> Stream:
    def stream() -> Iterator[tuple[Any, Any]]:
        for begin in range(0, len(values), rows):
            yield values[begin : begin + rows], marks[begin : begin + rows]

    return stream


@settings(deadline=None)
@given(VALUES, st.integers(0, 2**60 - 1), st.integers(1, 70), st.integers(1, 70))
def test_pieces_are_all_values_in_order(
    values: np.ndarray[Any, Any], bits: int, rows_per_chunk: int, rows_at_a_time: int
) -> None:
    marks = np.array([bits >> index & 1 for index in range(len(values))], bool)
    found = list(pieces(stream_of(values, marks, rows_per_chunk), rows_at_a_time=rows_at_a_time))
    for piece in found:
        rows = int((piece.marked + piece.unmarked).sum())
        assert rows <= rows_at_a_time or len(piece.values) == 1
    joined = np.concatenate([np.zeros(0), *(piece.values for piece in found)])
    np.testing.assert_array_equal(joined, np.unique(values))
    for chosen, counts in ((marks, [p.marked for p in found]), (~marks, [p.unmarked for p in found])):
        expected = [np.count_nonzero(values[chosen] == value) for value in joined]
        assert np.concatenate([np.zeros(0, int), *counts]).tolist() == expected


@settings(deadline=None)
@given(FINITE, st.integers(1, 70), st.integers(1, 70))
def test_quantiles_are_those_of_numpy(
    values: np.ndarray[Any, Any], rows_per_chunk: int, rows_at_a_time: int
) -> None:
    shares = (0.0, 0.16, 0.5, 0.84, 0.975, 1.0)
    stream = stream_of(values, values > 1, rows_per_chunk)
    found = quantiles(stream, shares, rows_at_a_time=rows_at_a_time)
    if not len(values):
        assert found is None
        return
    np.testing.assert_array_equal(found, np.quantile(values, shares))


def test_memory_does_not_grow_with_rows_of_one_value() -> None:
    chunk = np.full(1 << 14, 0.5), np.zeros(1 << 14, bool)

    def peak(chunks: int) -> int:
        tracemalloc.start()
        try:
            (piece,) = pieces(lambda: itertools.repeat(chunk, chunks), rows_at_a_time=1 << 14)
            assert piece.unmarked.tolist() == [chunks << 14]
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(64) < 1.2 * peak(2)
