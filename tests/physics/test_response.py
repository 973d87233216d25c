"""Responses and what they come to, against the definition."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soaflow.physics.response import QUANTILES, Response, has_truth, responses


def test_response_needs_a_truth_above_zero_and_finite_numbers() -> None:
    truth = np.array([10.0, 0.0, -1.0, np.nan, np.inf, 2.0, 2.0, 5e-324])
    prediction = np.array([11.0, 1.0, 1.0, 1.0, 1.0, np.nan, -np.inf, 1e10])
    assert has_truth(truth).tolist() == [True, False, False, False, False, True, True, True]
    np.testing.assert_array_equal(responses(truth, prediction), [1.1, *[np.nan] * 7])


def test_bias_and_resolution_of_a_normal_response_are_its_mean_and_spread() -> None:
    normal = np.random.default_rng(1).normal(1.1, 0.05, 200_000)
    found = Response.of(*np.quantile(normal, QUANTILES).tolist())
    assert found.bias == pytest.approx(0.1, abs=1e-3)
    assert found.resolution == pytest.approx(0.05, rel=0.01)


@given(st.tuples(*[st.floats(-1e6, 1e6)] * 3).map(sorted))
def test_bias_and_resolution_against_exact_arithmetic(quantiles: list[float]) -> None:
    found = Response.of(*quantiles)
    low, median, high = map(mpmath.mpf, quantiles)
    assert found.bias == pytest.approx(float(median - 1), rel=1e-15)
    assert found.resolution == pytest.approx(float((high - low) / 2), rel=1e-15)
