"""The second yardstick: planted errors beside those of eager float32."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soaflow.compare.differences import differences
from soaflow.compare.figures import Differences
from soaflow.compare.yard import Yard
from soaflow.compare.yardstick import Yardstick
from soaflow.errors import ConfigError

ERRORS = st.lists(st.floats(0, 1e3), min_size=1, max_size=30)


def with_errors(errors: Any) -> Differences:
    errors = np.asarray(errors, np.float64)
    return differences(np.zeros_like(errors), errors)


def judged(eager: Any, variant: Any, yardstick: Yardstick | None) -> tuple[Yard, Differences]:
    return Yard.of("eager", with_errors(eager), yardstick), with_errors(variant)


def failure(yard: Yard, found: Differences) -> str | None:
    return next((asked.sentence for asked in yard.criteria(found, "GeV") if not asked.passed), None)


def test_largest_difference_decides() -> None:
    yard, found = judged([0.0, 1e-5], [0.0, 2.5e-5], Yardstick(2.0, 1e-6))
    assert failure(yard, found) == (
        "yardstick largest: 2.5e-05 GeV where 2.1e-05 is allowed (2.5 times the error 1e-05 of eager; a "
        "factor of 2.4 would pass); 2.5e-05 would pass"
    )
    assert yard.minimum_factor(found) == pytest.approx(2.4)
    assert yard.ratio_of(found.max_absolute) == pytest.approx(2.5)
    for passing in (Yardstick(2.5, 0.0), Yardstick(2.0, 6e-6)):
        assert failure(judged([1e-5], [2.5e-5], passing)[0], found) is None


def test_many_larger_differences_under_the_largest_fail_too() -> None:
    eager = [1e-3, *[1e-7] * 999]
    yard, found = judged(eager, [1e-3, *[1e-5] * 999], Yardstick(2.0, 0.0))
    assert "yardstick quantile" in str(failure(yard, found))
    factor = yard.minimum_factor(found)
    assert factor is not None
    assert 50 < factor <= 100
    assert failure(judged(eager, [1e-3, *[1.9e-7] * 999], Yardstick(2.0, 0.0))[0], with_errors(eager)) is None


def test_without_an_error_of_eager_the_floor_alone_decides() -> None:
    yard, found = judged([0.0], [1e-7], Yardstick(2.0, 0.0))
    assert failure(yard, found) is not None
    assert (yard.minimum_factor(found), yard.ratio_of(1e-7), yard.ratio_of(0.0)) == (None, None, 0.0)
    assert failure(judged([0.0], [1e-7], Yardstick(2.0, 1e-6))[0], found) is None


def test_without_a_yardstick_nothing_fails() -> None:
    yard, found = judged([1e-7], [1.0], None)
    assert (failure(yard, found), yard.minimum_factor(found), yard.allowed) == (None, None, None)
    assert yard.ratio_of(1.0) == pytest.approx(1e7)


@given(ERRORS, ERRORS, st.floats(0, 10), st.floats(0, 10))
def test_the_smallest_factor_passes_and_a_smaller_one_fails(
    eager: list[float], variant: list[float], factor: float, floor: float
) -> None:
    yard, found = judged(eager, variant, Yardstick(factor, floor))
    needed = yard.minimum_factor(found)
    if needed is None:
        assert failure(yard, found) is not None
        return
    assert (failure(yard, found) is None) == (factor >= needed)
    assert failure(judged(eager, variant, Yardstick(needed, floor))[0], found) is None
    if needed:
        below = Yardstick(float(np.nextafter(needed, 0.0)), floor)
        assert failure(judged(eager, variant, below)[0], found) is not None


@given(ERRORS, ERRORS)
def test_the_quantile_never_fails_what_its_values_would_pass(
    eager: list[float], variant: list[float]
) -> None:
    def quantile(errors: list[float]) -> float:
        return sorted(errors)[math.ceil(0.99 * len(errors)) - 1]

    yard, found = judged(eager, variant, Yardstick(2.0, 1e-9))
    if max(variant) <= 2 * max(eager) + 1e-9 and quantile(variant) <= 2 * quantile(eager) + 1e-9:
        assert failure(yard, found) is None


def test_the_quantile_fails_only_where_the_histograms_prove_it() -> None:
    """2.5 and 2 times 1.3 lie on one side, but the end of the bin of 2.5 on the other."""
    yard, found = judged([1e-3, *[1.3e-7] * 999], [1e-3, *[2.5e-7] * 999], Yardstick(2.0, 0.0))
    bounds = found.quantile_absolute(0.99)
    assert bounds is not None
    assert yard.quantile is not None
    assert bounds[0] <= 2 * yard.quantile[1] < bounds[1]
    assert failure(yard, found) is None


def test_configuration() -> None:
    assert Yardstick.from_mapping("yardstick.float32", {"floor": 1e-6}) == Yardstick(2.0, 1e-6)
    with pytest.raises(ConfigError, match=r"yardstick\.float32 has the keys factor: give floor"):
        Yardstick.from_mapping("yardstick.float32", {"factor": 1})
    for wrong in (-1.0, math.inf, math.nan):
        with pytest.raises(ConfigError, match=r"y: the factor of the yardstick is"):
            Yardstick.from_mapping("y", {"factor": wrong, "floor": 0})
