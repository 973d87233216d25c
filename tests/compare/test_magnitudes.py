"""Differences by magnitude against slow counts, value by value, and against planted contradictions."""

import bisect
import dataclasses
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from soaflow.compare import histogram
from soaflow.compare.differences import differences
from soaflow.compare.histogram import bin_numbers
from soaflow.compare.magnitudes import EDGES, NUMBERS, MagnitudeHistogram
from soaflow.records import from_json, to_json

Array = np.ndarray[Any, Any]
SIZES = st.one_of(
    st.floats(0, allow_infinity=False),
    st.floats(-22, 8).map(lambda power: float(10.0**power)),
    st.sampled_from((10.0**EDGES).tolist()),
    st.sampled_from([0.0, 5e-324, float(np.finfo(float).max)]),
)


def slow_number(value: float, edges: Array) -> int:
    """0 for zero, 1 below the first edge, then the bins, then above."""
    return 0 if value == 0 else 1 + bisect.bisect_right((10.0**edges).tolist(), value)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(SIZES, SIZES), max_size=30), st.integers(0, 30))
def test_cells_equal_slow_counts_however_they_are_added(pairs: list[tuple[float, float]], cut: int) -> None:
    magnitudes, sizes = np.array(pairs, float).reshape(-1, 2).T
    expected = Counter(tuple(slow_number(value, EDGES) for value in pair) for pair in pairs)
    whole = MagnitudeHistogram.empty().adding(magnitudes, sizes)
    assert {cell[:2]: cell[2] for cell in whole.cells} == expected
    first, other = (
        MagnitudeHistogram.empty().adding(magnitudes[part], sizes[part])
        for part in (slice(cut), slice(cut, None))
    )
    assert first + other == other + first == first.adding(magnitudes[cut:], sizes[cut:]) == whole
    assert bin_numbers(sizes).tolist() == [slow_number(value, histogram.EDGES) for value in sizes.tolist()]


def test_edges_belong_to_the_bin_above() -> None:
    for number, edge in enumerate((10.0**EDGES).tolist(), 2):
        sizes = np.array([np.nextafter(edge, 0), edge])
        found = MagnitudeHistogram.empty().adding(np.ones(2), sizes)
        assert [cell[1] for cell in found.cells] == [number - 1, number]
    assert number == NUMBERS - 1


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(
        np.float64, (12, 2), elements=st.one_of(st.floats(width=32), st.sampled_from([0.0, math.nan]))
    ),
    st.integers(1, 9),
)
def test_of_a_comparison(pairs: Array, chunk: int) -> None:
    reference, values = pairs[:, 0], pairs[:, 1].astype(np.float32)
    found = differences(reference, values, values_per_chunk=chunk)
    expected: Counter[tuple[int, int]] = Counter()
    for r, v in zip(reference.tolist(), values.astype(float).tolist(), strict=True):
        if math.isfinite(r) and math.isfinite(v):
            expected[slow_number(abs(r), EDGES), slow_number(abs(v - r), EDGES)] += 1
    assert {cell[:2]: cell[2] for cell in found.by_magnitude.cells} == expected
    assert from_json(type(found), to_json(found), "differences") == found


def test_memory_and_size_do_not_grow_with_the_rows() -> None:
    random = np.random.default_rng(1)
    reference = random.normal(0, 30, 200_000)
    values = (reference * random.normal(1, 1e-7, 200_000)).astype(np.float32)
    cells = [len(differences(reference[:n], values[:n]).by_magnitude.cells) for n in (20_000, 200_000)]
    assert cells[1] < 1.5 * cells[0] < 600


def test_contradictions_are_refused() -> None:
    found = differences(np.array([1.0, 0.0, 2.0]), np.array([1.0, 0.5, 2.5]))
    cells = found.by_magnitude.cells
    assert len(cells) == 3
    for wrong, message in (
        (cells[:2], "by_magnitude does not count the differences of absolute"),
        (((*cells[0][:2], 2), *cells[1:]), "by_magnitude does not count the differences of absolute"),
        (((1, *cells[0][1:]), *cells[1:]), "by_magnitude does not count what differs at zero"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(found, by_magnitude=MagnitudeHistogram(wrong))
    for wrong, message in (
        (cells[::-1], "not in order"),
        ((cells[0], cells[0]), "not in order"),
        (((0, 0, 0),), "off the axes or empty"),
        (((0, NUMBERS, 1),), "off the axes or empty"),
        (((-1, 0, 1),), "off the axes or empty"),
    ):
        with pytest.raises(ValueError, match=message):
            MagnitudeHistogram(wrong)
