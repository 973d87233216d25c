"""Efficiencies and their errors against counting, and against the spread of samples."""

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from soaflow.physics.efficiency import Efficiency

COUNTS = st.tuples(*[st.integers(0, 50)] * 4).map(
    lambda n: Efficiency(rows=sum(n), passed=n[0] + n[1], gained=n[2], lost=n[1])
)


@given(COUNTS)
def test_of_counts_against_rows_one_by_one(counts: Efficiency) -> None:
    stay = counts.passed - counts.lost
    out = counts.rows - counts.passed - counts.gained
    pairs = [(1, 1)] * stay + [(1, 0)] * counts.lost + [(0, 1)] * counts.gained + [(0, 0)] * out
    reference, value = np.array(pairs, float).reshape(-1, 2).T
    if not counts.rows:
        assert counts.reference is counts.value is counts.shift is counts.error is counts.shift_error is None
        return
    assert counts.reference == pytest.approx(reference.mean())
    assert counts.value == pytest.approx(value.mean())
    assert counts.shift == pytest.approx((value - reference).mean())
    # The standard error of a mean: the spread of the rows over the root of their number.
    assert counts.error == pytest.approx(reference.std() / np.sqrt(counts.rows))
    assert counts.shift_error == pytest.approx((value - reference).std() / np.sqrt(counts.rows), abs=1e-12)


@given(
    st.tuples(*[st.integers(0, 10**12)] * 4).map(
        lambda n: Efficiency(rows=sum(n), passed=n[0] + n[1], gained=n[2], lost=n[1])
    )
)
@example(Efficiency(rows=35968219, passed=0, gained=35968218, lost=0))
def test_of_many_rows_against_exact_arithmetic(counts: Efficiency) -> None:
    if not counts.rows:
        return
    with mpmath.workdps(60):
        rows, gained, lost = map(mpmath.mpf, (counts.rows, counts.gained, counts.lost))
        before = mpmath.mpf(counts.passed) / rows
        shift = (gained - lost) / rows
        exact = {
            "reference": before,
            "value": before + shift,
            "shift": shift,
            "error": mpmath.sqrt(before * (1 - before) / rows),
            "shift_error": mpmath.sqrt(((gained + lost) / rows - shift**2) / rows),
        }
        for name, value in exact.items():
            assert getattr(counts, name) == pytest.approx(float(value), rel=1e-13, abs=0.0), name


@given(COUNTS, COUNTS)
def test_parts_add_up(one: Efficiency, other: Efficiency) -> None:
    both = one + other
    assert (both.rows, both.passed, both.gained, both.lost) == (
        one.rows + other.rows,
        one.passed + other.passed,
        one.gained + other.gained,
        one.lost + other.lost,
    )


def test_error_of_the_shift_is_the_spread_of_samples() -> None:
    random = np.random.default_rng(3)
    score = random.normal(size=(4000, 500))
    reference, value = score > 0.3, score + random.normal(0.02, 0.1, score.shape) > 0.3
    shifts = value.mean(axis=1) - reference.mean(axis=1)
    first = Efficiency(
        500,
        int(reference[0].sum()),
        int((value[0] & ~reference[0]).sum()),
        int((reference[0] & ~value[0]).sum()),
    )
    errors = np.sqrt((value ^ reference).sum(axis=1) - shifts**2 * 500) / 500
    assert first.shift_error == pytest.approx(errors[0])
    assert shifts.std() == pytest.approx(errors.mean(), rel=0.05)
    # And much smaller than if the two were of different rows.
    assert first.shift_error < 0.5 * np.hypot(first.error or 0, first.error or 0)


@pytest.mark.parametrize("counts", [(-1, 0, 0, 0), (3, 4, 0, 0), (3, 1, 0, 2), (3, 2, 2, 0)])
def test_counts_that_contradict_one_another_are_refused(counts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="an efficiency"):
        Efficiency(*counts)
