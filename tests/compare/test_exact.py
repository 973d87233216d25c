"""Exact sums against fractions, in any order and grouping."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from soaflow.compare.exact import ExactSum

VALUES = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=60)


@given(VALUES, st.integers(0, 60))
def test_sum_is_exact_however_it_is_split(values: list[float], cut: int) -> None:
    expected = sum(map(Fraction, values), Fraction(0))
    whole = ExactSum.zero().adding(np.array(values, np.float64))
    first, last = (ExactSum.zero().adding(np.array(part, float)) for part in (values[:cut], values[cut:]))
    assert whole.fraction == expected
    assert first + last == last + first == whole
    assert ExactSum.zero().adding(np.array(values[::-1], np.float64)) == whole


def test_many_values_of_any_size() -> None:
    random = np.random.default_rng(1)
    for powers in ((-1074, -1000), (-1074, 960), (-30, 5), (890, 910), (-905, -895)):
        values = random.normal(size=50_000) * 2.0 ** random.integers(*powers, 50_000)
        found = ExactSum.zero().adding(values)
        units = sum(int(Fraction(value) * 2**1074) for value in values.tolist())
        assert found.fraction == Fraction(units, 2**1074), powers
        assert found == ExactSum.zero().adding(random.permutation(values))
