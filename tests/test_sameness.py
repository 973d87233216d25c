"""Sameness against a slow look at every value, and what is planted in single values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from soaflow.envelope import minimum_absolute
from soaflow.sameness import Sameness, sameness

FLOATS = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf, -math.inf])


@given(
    values=hnp.arrays(np.float32, st.tuples(st.integers(0, 12), st.integers(1, 3)), elements=FLOATS),
    changes=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 2), FLOATS), max_size=4),
    per_chunk=st.integers(1, 9),
)
def test_every_figure_is_that_of_a_slow_look(values, changes, per_chunk):
    other = values.copy()
    for row, element, value in changes:
        if row < values.shape[0] and element < values.shape[1]:
            other[row, element] = value
    found = sameness(values, other, shard="3", values_per_chunk=per_chunk)

    differing, mismatches, absolute, points = [], 0, 0.0, []
    for row in range(len(values)):
        for one, two in zip(values[row].tolist(), other[row].tolist(), strict=True):
            if (math.isnan(one) and math.isnan(two)) or (
                one == two and math.copysign(1, one) == math.copysign(1, two)
            ):
                continue
            differing.append(row)
            if math.isfinite(one) and math.isfinite(two):
                absolute = max(absolute, abs(one - two))
                points.append((abs(one), abs(one - two)))
            else:
                mismatches += 1
    assert (found.rows, found.rows_differing) == (len(values), len(set(differing)))
    assert found.first_differing == (("3", differing[0]) if differing else None)
    assert (found.mismatches, found.largest_absolute) == (mismatches, absolute)
    for relative in (0.0, 0.5):
        slow = max((difference - relative * magnitude for magnitude, difference in points), default=0.0)
        assert minimum_absolute(found.envelope, relative) == pytest.approx(max(slow, 0.0), rel=1e-9)


def test_steps_are_counted_in_the_narrower_type():
    wide = np.array([1.0, 2.0, 1e-3])
    narrow = wide.astype(np.float32)
    assert sameness(wide, narrow, shard="").same_bits
    narrow[1] = np.nextafter(np.nextafter(narrow[1], np.float32(9)), np.float32(9))
    found = sameness(wide, narrow, shard="")
    assert (found.rows_differing, found.largest_ulp, found.first_differing) == (1, 2, ("", 1))


def test_a_zero_of_the_other_sign_is_another_row_and_no_distance():
    found = sameness(np.array([0.0, 1.0]), np.array([-0.0, 1.0]), shard="")
    assert (found.rows_differing, found.largest_ulp, found.largest_absolute) == (1, 0, 0.0)


def test_integers_are_compared_exactly():
    big = np.array([2**62, 5], np.int64)
    found = sameness(big, big + np.array([1, 0]), shard="0")
    assert (found.rows_differing, found.largest_ulp, found.mismatches) == (1, 1, 0)


def test_other_shapes_or_types_are_refused():
    with pytest.raises(ValueError, match=r"float64 \(2,\) and float64 \(3,\)"):
        sameness(np.zeros(2), np.zeros(3), shard="")
    with pytest.raises(ValueError, match=r"float64 .* int64"):
        sameness(np.zeros(2), np.zeros(2, int), shard="")


@pytest.mark.parametrize(
    "changed",
    [
        {"rows_differing": 10},
        {"first_differing": None},
        {"rows_differing": 0, "first_differing": None},
        {"largest_absolute": 0.4},
        {"mismatches": -1},
        {"envelope": ((1.0, 0.5), (0.5, 0.6))},
    ],
)
def test_figures_that_contradict_one_another_are_refused(changed):
    figures = {
        "rows": 9,
        "rows_differing": 2,
        "mismatches": 0,
        "largest_absolute": 0.5,
        "largest_ulp": 3,
        "first_differing": ("0", 4),
        "envelope": ((1.0, 0.5),),
    }
    Sameness(**figures)
    with pytest.raises(ValueError, match=r"differ|contradicts|negative"):
        Sameness(**figures | changed)
