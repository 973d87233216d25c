"""Quantiles, cosine, rows and merging, against slow ones and against one comparison of all rows."""

import dataclasses
import itertools
import math
import tracemalloc
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from soaflow.compare.differences import differences
from soaflow.compare.figures import QUANTILES, Differences
from soaflow.compare.places import ROWS_KEPT, Place

Array = np.ndarray[Any, Any]
SPECIAL = st.sampled_from([0.0, -0.0, 1.0, 1.5, math.inf, -math.inf, math.nan])


@st.composite
def shards(draw: st.DrawFn) -> list[tuple[Array, Array]]:
    elements = draw(st.sampled_from([(), (2,), (2, 2)]))
    numbers = st.one_of(st.floats(width=32), st.floats(-4, 4, width=16), SPECIAL)
    return [
        (
            draw(hnp.arrays(np.float64, (rows, *elements), elements=numbers)),
            draw(hnp.arrays(np.float32, (rows, *elements), elements=numbers)),
        )
        for rows in draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    ]


def merged(found: list[Differences]) -> Differences:
    result = found[0]
    for figures in found[1:]:
        result = result.merged(figures)
    return result


@settings(max_examples=200)
@given(shards(), st.randoms(use_true_random=False))
def test_merging_does_not_depend_on_order_or_grouping(parts: list[tuple[Array, Array]], random: Any) -> None:
    found = [differences(*part, shard=str(name)) for name, part in enumerate(parts)]
    expected = merged(found)
    shuffled = random.sample(found, len(found))
    assert merged(shuffled) == expected
    cut = random.randrange(len(found))
    if cut:
        assert merged(shuffled[:cut]).merged(merged(shuffled[cut:])) == expected
    assert expected.rows == sum(len(values) for _, values in parts)


@settings(max_examples=200)
@given(shards(), st.integers(1, 9))
def test_merged_shards_are_like_one_comparison(parts: list[tuple[Array, Array]], chunk: int) -> None:
    """All that does not name a place is equal; places are those of the shards one after another."""
    one = differences(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)), shard="0")
    split = merged([differences(*part, values_per_chunk=chunk) for part in parts])
    starts = np.cumsum([0, *(len(values) for _, values in parts)]).tolist()
    named = merged([differences(*part, shard=str(i)) for i, part in enumerate(parts)])
    places = ("first_mismatch", "largest_absolute", "largest_relative", "worst")
    for field in dataclasses.fields(Differences):
        if field.name not in places:
            assert getattr(split, field.name) == getattr(one, field.name), field.name
    for name in places[1:3]:
        whole, part = getattr(one, name), getattr(named, name)
        assert (whole is None) == (part is None)
        if whole is not None:
            moved = dataclasses.replace(part, shard="0", row=part.row + starts[int(part.shard)])
            assert moved == whole
    moved_rows = [dataclasses.replace(w, shard="0", row=w.row + starts[int(w.shard)]) for w in named.worst]
    assert moved_rows == list(one.worst)
    if one.first_mismatch is not None:
        place = named.first_mismatch
        assert place is not None
        assert Place("0", place.row + starts[int(place.shard)]) == one.first_mismatch


@settings(max_examples=200)
@given(shards(), st.integers(1, 9))
def test_slow_metrics(parts: list[tuple[Array, Array]], chunk: int) -> None:
    reference, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    found = differences(reference, values, values_per_chunk=chunk)
    finite = np.isfinite(reference) & np.isfinite(values)
    pairs = list(zip(reference[finite].tolist(), values[finite].tolist(), strict=True))

    absolute = sorted(abs(v - r) for r, v in pairs)
    relative = sorted(min(abs(v - r) / abs(r), np.finfo(float).max) for r, v in pairs if r)
    for share in (*QUANTILES, 0.0, 1.0, 0.3):
        for listed, bounds in (
            (absolute, found.quantile_absolute(share)),
            (relative, found.quantile_relative(share)),
        ):
            if not listed:
                assert bounds is None
                continue
            assert bounds is not None
            quantile = listed[max(1, math.ceil(round(share * len(listed), 9))) - 1]
            assert bounds[0] <= quantile <= bounds[1]
            assert bounds[1] <= max(bounds[0] * 1.34, 1e-20) or bounds[0] >= 1e6
    assert found.smallest_absolute == (absolute[0] if absolute else None)
    assert found.smallest_relative == (relative[0] if relative else None)

    with mpmath.workdps(60):
        norms = [mpmath.fsum(mpmath.mpf(pair[i]) ** 2 for pair in pairs) for i in (0, 1)]
        if min(norms) > mpmath.mpf(10) ** -60:
            dot = mpmath.fsum(mpmath.mpf(r) * v for r, v in pairs)
            exact = dot / mpmath.sqrt(norms[0] * norms[1])
            assert found.cosine is not None
            # Each product is rounded once, to 2**-53 of itself.
            assert abs(mpmath.mpf(found.cosine) - exact) < 4e-16

    with np.errstate(over="ignore"):
        stored = reference.astype(np.float32)
    same = [
        all(
            a.tobytes() == b.tobytes() or (math.isnan(a) and math.isnan(b))
            for a, b in zip(x.reshape(-1), y.reshape(-1), strict=True)
        )
        for x, y in zip(stored, values, strict=True)
    ]
    assert found.rows_bit_identical == sum(same)


@settings(max_examples=200)
@given(shards(), st.integers(1, 9))
def test_worst_rows(parts: list[tuple[Array, Array]], chunk: int) -> None:
    reference, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    found = differences(reference, values, shard="7", values_per_chunk=chunk)
    ranked = []
    for row, (expected, value) in enumerate(zip(reference, values, strict=True)):
        worst = 0.0
        for r, v in zip(expected.reshape(-1).tolist(), value.reshape(-1).tolist(), strict=True):
            if math.isfinite(r) and math.isfinite(v):
                worst = max(worst, abs(v - r))
            elif not (r == v or (math.isnan(r) and math.isnan(v))):
                worst = math.inf
        if worst:
            ranked.append((-worst, row))
    expected_rows = [(None if math.isinf(d) else -d, row) for d, row in sorted(ranked)[:ROWS_KEPT]]
    assert [(row.difference, row.row) for row in found.worst] == expected_rows
    for kept in found.worst:
        index = (kept.row, *kept.element)
        assert (kept.reference, kept.value) == (str(reference[index].item()), str(values[index].item()))
        assert kept.shard == "7"


def test_cosine_of_planted_angles() -> None:
    reference = np.array([3.0, 4.0])
    for values, cosine in (([3.0, 4.0], 1.0), ([-3.0, -4.0], -1.0), ([4.0, -3.0], 0.0), ([6.0, 8.0], 1.0)):
        assert differences(reference, np.array(values)).cosine == cosine
    assert differences(reference, np.zeros(2)).cosine is None
    assert differences(reference, np.array([1e200, 1.0])).cosine is None
    assert differences(np.array([1e-200]), np.array([1e-200])).cosine is None


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_shards_are_ordered_as_numbers_where_differences_are_equal(order: tuple[int, ...]) -> None:
    names = ["10", "9", "2"]
    found = [differences(np.ones(3), np.full(3, 2.0), shard=names[i]) for i in order]
    whole = merged(found)
    assert whole.largest_absolute is not None
    assert (whole.largest_absolute.shard, whole.largest_absolute.row) == ("2", 0)
    assert [(w.shard, w.row) for w in whole.worst] == [("2", 0), ("2", 1), ("2", 2), ("9", 0), ("9", 1)]


def test_memory_does_not_grow_with_the_rows() -> None:
    def peak(rows: int) -> int:
        reference = np.broadcast_to(np.float64(1.5), (rows,))
        values = np.broadcast_to(np.float32(1.25), (rows,))
        tracemalloc.start()
        try:
            found = differences(reference, values)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            assert found.rows == found.over_at_most(0.1, 0.0) == rows

    assert peak(10_000_000) < 1.2 * peak(1_000_000)
