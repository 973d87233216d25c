"""ULP distances against a walk from number to number and exact integers; same bits."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soaflow.distances import same_bits, ulp_distances

WIDTHS = {"float16": 16, "float32": 32, "float64": 64}


def walked(first: Any, other: Any) -> int:
    """Count the steps of nextafter between two numbers."""
    steps = 0
    with np.errstate(all="ignore"):
        while first != other:
            first = np.nextafter(first, other, dtype=first.dtype)
            steps += 1
    return steps


@pytest.mark.parametrize("dtype", WIDTHS)
@given(start=st.data(), steps=st.integers(0, 40))
def test_distance_is_the_number_of_steps(dtype: str, start: st.DataObject, steps: int) -> None:
    first = np.dtype(dtype).type(start.draw(st.floats(width=WIDTHS[dtype], allow_nan=False)))
    other = first
    with np.errstate(all="ignore"):
        for _ in range(steps):
            other = np.nextafter(other, np.dtype(dtype).type(-math.inf))
    assert ulp_distances(np.array([first]), np.array([other])).tolist() == [walked(other, first)]


@pytest.mark.parametrize("dtype", WIDTHS)
def test_zeros_subnormals_infinities_and_signs(dtype: str) -> None:
    kind, info = np.dtype(dtype).type, np.finfo(dtype)
    tiny, largest = info.smallest_subnormal, info.max
    reference = np.array([0.0, -0.0, tiny, -tiny, largest, -np.inf, info.smallest_normal], dtype)
    below = np.nextafter(info.smallest_normal, kind(0))
    values = np.array([-0.0, 0.0, -tiny, 0.0, np.inf, -largest, below], dtype)
    assert ulp_distances(reference, values).tolist() == [0, 0, 2, 1, 1, 1, 1]
    everything = ulp_distances(np.array([-np.inf], dtype), np.array([np.inf], dtype))
    bits = np.array([np.inf], dtype).view(f"u{np.dtype(dtype).itemsize}")[0]
    assert everything.tolist() == [2 * int(bits)]


def test_reference_is_rounded_to_the_type_of_the_value_first() -> None:
    reference = np.array([0.1, 1e39, 1 + 2.0**-25])
    nearest = np.array([0.1, np.inf, 1.0], np.float32)
    assert ulp_distances(reference, nearest).tolist() == [0, 0, 0]
    assert ulp_distances(reference, np.nextafter(nearest, np.float32(0))).tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "uint64"])
def test_distance_of_integers_is_their_difference(dtype: str) -> None:
    low, high = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    found = ulp_distances(np.array([low, high], dtype), np.array([high, high], dtype))
    assert found.tolist() == [int(high) - int(low), 0]


def test_same_bits() -> None:
    first = np.array([1.0, 0.0, np.nan, np.inf, 1.0], np.float32)
    other = np.array([1.0, -0.0, -np.nan, np.inf, 1.0000001], np.float32)
    assert same_bits(first, other).tolist() == [True, False, True, True, False]
    assert same_bits(np.array([1, 2]), np.array([1, 3])).tolist() == [True, False]
