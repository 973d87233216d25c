import math

import pytest

from soaflow.compare.tolerances import Tolerance, Tolerances
from soaflow.errors import ConfigError

GENERAL = {
    "float32": {"absolute": 1e-5, "relative": 1e-4},
    "float64": {"absolute": 0, "relative": 1e-9},
}


def test_output_and_dtype_decide() -> None:
    tolerances = Tolerances.from_mapping(GENERAL, {"energy": {"float32": {"absolute": 1, "relative": 0}}})
    assert tolerances.find("energy", "float32") == Tolerance(1.0, 0.0)
    assert tolerances.find("energy", "float64") == Tolerance(0.0, 1e-9)
    assert tolerances.find("score", "float32") == Tolerance(1e-5, 1e-4)


@pytest.mark.parametrize("wrong", [-1e-9, math.nan, math.inf])
def test_impossible_tolerances_are_refused(wrong: float) -> None:
    for entry in ({"absolute": wrong, "relative": 0}, {"absolute": 0, "relative": wrong}):
        with pytest.raises(ConfigError, match=r"tolerances\.float32: the (absolute|relative) tolerance is"):
            Tolerances.from_mapping({"float32": entry})


@pytest.mark.parametrize("entry", [{}, {"absolute": 1}, {"absolute": 1, "relative": 1, "more": 1}])
def test_other_keys_are_refused(entry: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"models\.Net\.tolerances\.pt\.float32 has the keys"):
        Tolerances.from_mapping(GENERAL, {"pt": {"float32": entry}}, model="Net")


def test_missing_ones_are_named() -> None:
    with pytest.raises(ConfigError, match=r"output 'pt' computed in float16: add tolerances\.float16"):
        Tolerances.from_mapping(GENERAL).find("pt", "float16")
