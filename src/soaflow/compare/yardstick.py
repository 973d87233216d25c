"""The second yardstick: a variant's error against that of eager float32, both from the same reference.

A variant that computes in float32 cannot be expected to be nearer to the float64 reference than eager
float32 is, and should not be much further away. It passes when its largest absolute difference is at most
`factor` times eager's plus `floor`, and its 0.99 quantile is not surely over `factor` times eager's
plus `floor`.

The invariant: the figures of both alone decide, so another factor or floor is judged without any values.

>>> yard = Yard("eager", 1e-5, (1e-7, 1e-6), Yardstick(factor=2.0, floor=0.0))
>>> yard.allowed, yard.ratio_of(3e-5)
(2e-05, 3.0)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from soaflow.compare.figures import Differences
from soaflow.errors import ConfigError

DEFAULT_FACTOR = 2.0
QUANTILE = 0.99
"""The share of the values whose differences are judged beside the largest one."""


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
        return self.factor * error + self.floor


@dataclass(frozen=True, slots=True)
class Yard:
    """The error of eager float32 in one output, and how it is judged by.

    Parameters
    ----------
    variant
        That is eager in float32.
    largest
        Its largest absolute difference, in the output's unit.
    quantile
        Numbers between which the 0.99 quantile of its absolute differences lies; None without finite values.
    yardstick
        None where the configuration has none for the dtype of the variant judged: nothing then fails by it.
    """

    variant: str
    largest: float
    quantile: tuple[float, float] | None
    yardstick: Yardstick | None

    @classmethod
    def of(cls, variant: str, found: Differences, yardstick: Yardstick | None) -> Self:
        """Take the yard from the figures of the variant that is eager in float32."""
        return cls(variant, found.max_absolute, found.quantile_absolute(QUANTILE), yardstick)

    @property
    def allowed(self) -> float | None:
        """The largest difference that passes; None without a yardstick."""
        return None if self.yardstick is None else self.yardstick.allows(self.largest)

    def ratio_of(self, difference: float) -> float | None:
        """Return a largest difference over eager's; None if eager has no error and the other has."""
        if self.largest == 0:
            return None if difference else 0.0
        return _finite(difference / self.largest)

    def failure(self, found: Differences) -> str | None:
        """Say which criterion fails, by how much and what factor would pass; None if none fails."""
        if self.yardstick is None:
            return None
        largest = found.max_absolute
        if largest > self.yardstick.allows(self.largest):
            return self._sentence("largest difference of", largest, self.largest)
        bounds = found.quantile_absolute(QUANTILE)
        if bounds is None or self.quantile is None or bounds[0] <= self.yardstick.allows(self.quantile[1]):
            return None
        return self._sentence(f"{QUANTILE} quantile of at least", bounds[0], self.quantile[1])

    def minimum_factor(self, found: Differences) -> float | None:
        """Return the smallest factor that would pass beside the floor.

        None when none would, as eager has no error, or when there is no yardstick.
        """
        if self.yardstick is None:
            return None
        bounds = found.quantile_absolute(QUANTILE)
        judged = [(found.max_absolute, self.largest)]
        if bounds is not None and self.quantile is not None:
            judged.append((bounds[0], self.quantile[1]))
        needed = 0.0
        for value, error in judged:
            excess = value - self.yardstick.floor
            if excess > 0:
                factor = _finite(excess / error) if error else None
                if factor is None:
                    return None
                needed = max(needed, factor)
        return needed

    def _sentence(self, what: str, value: float, error: float) -> str:
        assert self.yardstick is not None
        allowed = self.yardstick.allows(error)
        times = f"{value / error:.3g} times" if error else "over"
        return (
            f"the {what} {value:.6g} is {times} the error {error:.6g} of {self.variant}, where "
            f"{self.yardstick.factor:g} times that plus {self.yardstick.floor:g} is allowed ({allowed:.6g})"
        )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
