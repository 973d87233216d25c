"""What a question says would pass does pass, by its text too."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from soaflow.compare.criteria import Criterion, at_least
from soaflow.compare.difference_criteria import criteria_of
from soaflow.compare.differences import differences
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.yard import Yard
from soaflow.compare.yardstick import Yardstick
from soaflow.thresholds import smallest_passing

NUMBERS = st.floats(0, 1e30)
PAIRS = st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), max_size=20)


@given(st.floats(0, 1e308))
def test_the_text_is_not_below_its_number(value: float) -> None:
    assert float(at_least(value)) >= value
    assert float(at_least(value)) <= value * 1.00001 or value < 1e-300


@given(NUMBERS, NUMBERS)
def test_the_smallest_number_passes_and_the_one_before_does_not(value: float, beside: float) -> None:
    found = smallest_passing(lambda limit: value <= limit + beside)
    assert found is not None
    assert value <= found + beside
    assert found == 0 or not value <= np.nextafter(found, 0.0) + beside


def test_nothing_passes() -> None:
    assert smallest_passing(lambda _: False) is None
    assert Criterion("not finite", 1.0, 0.0, None).remedy == "nothing would pass"
    assert not Criterion("flips", None, 1.0, None).passed


@given(PAIRS, NUMBERS, st.floats(0, 10), st.floats(0, 10), st.floats(0, 10))
def test_an_output_passes_with_what_its_questions_say(
    pairs: Any, absolute: float, relative: float, factor: float, floor: float
) -> None:
    values = np.array(pairs, np.float64).reshape(-1, 2)
    found = differences(values[:, 0], values[:, 1])
    yard = Yard.of("eager", differences(values[:, 0], values[:, 0] * (1 + 1e-7)), Yardstick(factor, floor))
    tolerance, finite, *beside = criteria_of(found, Tolerance(absolute, relative), unit="", yard=yard)
    assert finite.passed
    slow = all(abs(b - a) <= absolute + relative * abs(a) for a, b in pairs)
    assert tolerance.passed == slow
    assert tolerance.needed is not None
    for needed in (tolerance.needed, float(at_least(tolerance.needed))):
        assert criteria_of(found, Tolerance(needed, relative), unit="")[0].passed
    for asked in beside:
        assert asked.allowed is not None
        assert asked.passed == (asked.measured is not None and asked.measured <= asked.allowed)
    needed = yard.minimum_factor(found)
    if needed is not None:
        enough = Yard(yard.variant, yard.largest, yard.quantile, Yardstick(float(at_least(needed)), floor))
        assert all(asked.passed for asked in enough.criteria(found, ""))
