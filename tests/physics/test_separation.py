"""The error of an area under the curve against the spread of samples."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soaflow.physics.separation import auc_error, is_signal


@pytest.mark.parametrize(
    ("auc", "signal", "background", "error"),
    [(0.5, 60, 60, 0.0529), (0.8, 40, 60, 0.0474), (0.9, 20, 20, 0.0514), (1.0, 3, 4, 0), (0.0, 3, 4, 0)],
)
def test_error_of_the_area_is_the_spread_of_samples(auc, signal, background, error) -> None:
    assert auc_error(auc, signal, background) == pytest.approx(error, rel=0.002)
    if 0 < auc < 1:
        # Exponential scores, which the formula is exact for: P(signal > background) = auc.
        random = np.random.default_rng(5)
        samples = 8_000_000 // (signal * background)
        above = random.exponential(auc / (1 - auc), (samples, signal, 1))
        below = random.exponential(1, (samples, 1, background))
        areas = (above > below).mean(axis=(1, 2))
        assert areas.mean() == pytest.approx(auc, abs=0.003)
        assert areas.std() == pytest.approx(error, rel=0.05)


def test_signal_is_what_equals_or_what_is_near_one() -> None:
    truth = np.array([0, 1, 5, 4])
    assert is_signal(truth, 5).tolist() == [False, False, True, False]
    assert is_signal(np.array([0.0, 0.5, 0.6, 1.0]), None).tolist() == [False, False, True, True]


@given(st.floats(0, 1), st.integers(1, 10**9), st.integers(1, 10**9))
def test_error_of_the_area_against_exact_arithmetic(auc: float, signal: int, background: int) -> None:
    with mpmath.workdps(80):
        area = mpmath.mpf(auc)
        first, other = area / (2 - area), 2 * area**2 / (1 + area)
        variance = area * (1 - area) + (signal - 1) * (first - area**2) + (background - 1) * (other - area**2)
        exact = mpmath.sqrt(variance / (mpmath.mpf(signal) * background))
    # The differences cancel near 0 and 1, where they are as small as the rounding of 1.
    assert auc_error(auc, signal, background) == pytest.approx(float(exact), rel=1e-6, abs=3e-8)
