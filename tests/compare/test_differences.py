"""The statistics against slow ones, value by value in Python, and against planted differences."""

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from soaflow.compare.differences import differences
from soaflow.compare.histogram import EDGES, Histogram
from soaflow.compare.places import Place
from soaflow.compare.tolerances import Tolerance
from soaflow.envelope import extended, holds, minimum_absolute, minimum_relative

SHAPES = st.one_of(
    st.tuples(st.integers(0, 12)),
    st.tuples(st.integers(0, 6), st.integers(1, 3)),
    st.tuples(st.integers(0, 4), st.integers(1, 3), st.integers(1, 3)),
)
TOLERANCES = st.builds(
    Tolerance, st.sampled_from([0.0, 1e-9, 1e-3, 0.5, 10.0]), st.sampled_from([0.0, 1e-9, 1e-2, 1.0])
)


@st.composite
def float_pairs(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    widths = draw(st.sampled_from([(32, 32), (64, 64), (64, 32)]))
    shape = draw(SHAPES)
    special = st.sampled_from([0.0, -0.0, 1.0, 1.5, -2.0, math.inf, -math.inf, math.nan])
    arrays = [
        draw(hnp.arrays(f"float{width}", shape, elements=st.one_of(st.floats(width=width), special)))
        for width in widths
    ]
    return arrays[0], arrays[1]


def slow_statistics(reference: Any, values: Any, tolerance: Tolerance) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(
        (
            "matched_not_finite",
            "mismatched_nan",
            "mismatched_infinity",
            "differing_at_zero",
            "over_tolerance",
        ),
        0,
    )
    found["first_mismatch"], absolute, relative = None, [], []
    largest = float(np.finfo(np.float64).max)
    for index in np.ndindex(reference.shape):
        expected, value = reference[index].item(), values[index].item()
        if math.isfinite(expected) and math.isfinite(value):
            difference = min(abs(value - expected), largest)
            absolute.append((difference, index))
            found["over_tolerance"] += difference > tolerance.absolute + tolerance.relative * abs(expected)
            if expected:
                relative.append((min(difference / abs(expected), largest), index))
            else:
                found["differing_at_zero"] += difference > 0
            continue
        if expected == value or (math.isnan(expected) and math.isnan(value)):
            found["matched_not_finite"] += 1
            continue
        found["mismatched_nan" if math.isnan(expected) or math.isnan(value) else "mismatched_infinity"] += 1
        if found["first_mismatch"] is None:
            found["first_mismatch"] = Place("", index[0])
    for name, listed in (("absolute", absolute), ("relative", relative)):
        found[f"max_{name}"] = max(listed, key=lambda entry: entry[0], default=(0.0, None))
        total = sum((Fraction(entry[0]) for entry in listed), Fraction(0))
        found[f"mean_{name}"] = float(total / max(1, len(listed)))
    return found


@settings(max_examples=300)
@given(float_pairs(), TOLERANCES, st.integers(1, 9))
def test_statistics_equal_slow_ones_for_any_chunk(
    pair: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]], tolerance: Tolerance, chunk: int
) -> None:
    reference, values = pair
    expected = slow_statistics(reference, values, tolerance)
    found = differences(reference, values, values_per_chunk=chunk)
    for name in ("matched_not_finite", "mismatched_nan", "mismatched_infinity", "first_mismatch"):
        assert getattr(found, name) == expected[name], name
    assert found.differing_at_zero == expected["differing_at_zero"]
    bound = found.over_at_most(tolerance.absolute, tolerance.relative)
    assert expected["over_tolerance"] <= bound <= found.values
    assert (bound == 0) == (expected["over_tolerance"] == 0)
    assert (found.rows, found.values) == (len(reference), reference.size)
    for largest, name in ((found.largest_absolute, "max_absolute"), (found.largest_relative, "max_relative")):
        difference, index = expected[name]
        if difference == 0:
            assert largest is None
            continue
        assert largest is not None
        assert (largest.difference, (largest.row, *largest.element)) == (difference, index)
        assert (largest.reference, largest.value) == (reference[index], values[index])
    assert found.mean_absolute == expected["mean_absolute"]
    assert found.mean_relative == expected["mean_relative"]


@settings(max_examples=300)
@given(float_pairs(), TOLERANCES, st.integers(1, 9))
def test_envelope_judges_like_the_values_at_any_tolerance(
    pair: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]], other: Tolerance, chunk: int
) -> None:
    reference, values = pair
    kept = differences(reference, values, values_per_chunk=chunk)
    direct = slow_statistics(reference, values, other)
    assert holds(kept.envelope, other.absolute, other.relative) == (direct["over_tolerance"] == 0)


@given(st.floats(1e-12, 1e3), st.floats(1e-12, 1e3), st.integers(0, 2**32 - 1))
def test_the_bound_of_values_over_a_tolerance_holds_around_it(
    absolute: float, relative: float, seed: int
) -> None:
    """Differences lie around the tolerance, within a few bins of the histograms."""
    random = np.random.default_rng(seed)
    reference = random.uniform(0.5, 2, 200)
    around = random.uniform(0.6, 1.6, 200) * np.where(
        random.random(200) < 0.5, absolute, relative * reference
    )
    values = reference + around
    difference = np.abs(values - reference)
    for limits in ((absolute, 0.0), (0.0, relative), (absolute, relative)):
        over = np.count_nonzero(difference > limits[0] + limits[1] * reference)
        bound = differences(reference, values).over_at_most(*limits)
        assert over <= bound <= 200
        assert (over == 0) == (bound == 0)


finite = st.floats(0, 1e12)


@settings(max_examples=300)
@given(st.lists(st.tuples(finite, finite), max_size=40), finite, finite, st.integers(1, 40))
def test_envelope_keeps_the_maximum_of_all_lines(
    points: list[tuple[float, float]], relative: float, absolute: float, cut: int
) -> None:
    envelope: tuple[tuple[float, float], ...] = ()
    for part in (points[:cut], points[cut:]):
        magnitudes, found = np.array([p[0] for p in part]), np.array([p[1] for p in part])
        envelope = extended(envelope, magnitudes, found)
    assert set(envelope) <= set(points)
    direct = max([0.0, *(d - relative * m for m, d in points)])
    assert minimum_absolute(envelope, relative) == pytest.approx(direct, rel=1e-9, abs=1e-3)
    ratios = [(d - absolute) / m if m else math.inf for m, d in points if d > absolute]
    needed = minimum_relative(envelope, absolute)
    if max(ratios, default=0.0) == math.inf:
        assert needed is None
    else:
        assert needed == pytest.approx(max(ratios, default=0.0), rel=1e-9)


def test_envelope_of_many_values_is_small() -> None:
    random = np.random.default_rng(3)
    reference = random.exponential(50.0, 1_000_000).astype(np.float32)
    values = reference * (1 + random.normal(0, 1e-6, len(reference))).astype(np.float32)
    found = differences(reference, values)
    assert 0 < len(found.envelope) < 100
    difference = np.abs(values.astype(np.float64) - reference)
    for relative in (0.0, 1e-7, 1e-6, 1e-5):
        direct = np.max(difference - relative * reference.astype(np.float64))
        needed = minimum_absolute(found.envelope, relative)
        assert needed == pytest.approx(max(direct, 0.0), rel=1e-9, abs=1e-15)
        assert holds(found.envelope, needed, relative)
        assert not needed or not holds(found.envelope, np.nextafter(needed, 0.0), relative)


@given(
    hnp.arrays(np.float64, st.integers(0, 50), elements=st.floats(0, 1e300)), st.integers(0, len(EDGES) - 1)
)
def test_histogram_counts_each_value_once(values: np.ndarray[Any, Any], edge: int) -> None:
    values = np.concatenate([values, [10.0 ** EDGES[edge]]])
    histogram = Histogram.empty().adding(values[:3]).adding(values[3:])
    assert histogram.total == len(values)
    assert histogram.zeros == sum(v == 0 for v in values)
    for i, (low, high) in enumerate(itertools.pairwise(10.0**EDGES)):
        assert histogram.counts[i] == sum(low <= v < high for v in values)
    assert histogram.above == sum(v >= 10.0 ** EDGES[-1] for v in values)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "uint32", "int64", "uint64"])
def test_integers_are_compared_exactly(dtype: str) -> None:
    low, high = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    reference = np.array([low, high, high], dtype)
    assert differences(reference, reference).largest_absolute is None
    other = np.array([high, low, high], dtype)
    found = differences(reference, other)
    assert found.over_at_most(0, 0) == 2
    assert found.largest_absolute is not None
    assert found.largest_absolute.difference == float(int(high) - int(low))
    if dtype != "bool":
        beside = np.array([low, high, high - 1], dtype)
        assert differences(reference, beside).over_at_most(0, 0) == 1


def test_other_shape_or_dtype_is_a_bug() -> None:
    for other in (np.zeros(3, np.float32), np.zeros(3, np.float64), np.zeros(2, np.int32)):
        with pytest.raises(ValueError, match="the reference is float32"):
            differences(np.zeros(2, np.float32), other)
    with pytest.raises(ValueError, match="the reference is int64"):
        differences(np.zeros(2, np.int64), np.zeros(2, np.int32))
