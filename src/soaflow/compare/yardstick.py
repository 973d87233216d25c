"""The second yardstick: a variant's error against that of eager float32, both from the same reference.

A variant that computes in float32 cannot be expected to be nearer to the float64 reference than eager
float32 is, and should not be much further away. It passes when its largest absolute difference is at most
`factor` times eager's plus `floor`, and its 0.99 quantile is not surely over `factor` times eager's
plus `floor`.

The invariant: this module is the setting alone, without NumPy; `soaflow.compare.yard` judges by it.

>>> Yardstick(factor=2.0, floor=0.25).allows(1.5)
3.25
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from soaflow.errors import ConfigError

DEFAULT_FACTOR = 2.0


@dataclass(frozen=True, slots=True)
class Yardstick:
    """How far beyond eager float32's error a variant may lie: `factor * error + floor`.

    Parameters
    ----------
    factor
        Without unit; 0 or more.
    floor
        In the output's unit; 0 or more.

    Raises
    ------
    ConfigError
        If a number is negative or not finite.
    """

    factor: float
    floor: float

    def __post_init__(self) -> None:
        for name, value in (("factor", self.factor), ("floor", self.floor)):
            if not math.isfinite(value) or value < 0:
                raise ConfigError(f"the {name} of the yardstick is {value}: give a number of 0 or more")

    @classmethod
    def from_mapping(cls, key: str, entry: Mapping[str, Any]) -> Self:
        """Make a yardstick from the configuration's entry at `key`; the factor is 2 if not given.

        Raises
        ------
        ConfigError
            If the floor is missing, a key is unknown, or a number is negative or not finite.
        """
        if not {"floor"} <= set(entry) <= {"factor", "floor"}:
            raise ConfigError(
                f"{key} has the keys {', '.join(sorted(entry))}: give floor and, if not 2, factor"
            )
        try:
            return cls(float(entry.get("factor", DEFAULT_FACTOR)), float(entry["floor"]))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{key}: {error}") from error

    def allows(self, error: float) -> float:
        """Return the largest difference that passes beside an error of eager float32."""
        return min(self.factor * error + self.floor, sys.float_info.max)
