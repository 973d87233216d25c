"""The error of eager float32 in one output, by which a variant is judged.

The invariant: the figures of both alone decide, so another factor or floor is judged without any values.

>>> yard = Yard("eager", 1e-5, (1e-7, 1e-6), Yardstick(factor=2.0, floor=0.0))
>>> yard.allowed, yard.ratio_of(3e-5)
(2e-05, 3.0)
"""

import math
from dataclasses import dataclass
from typing import Self

from soaflow.compare.criteria import Criterion, at_least
from soaflow.compare.figures import Differences
from soaflow.compare.yardstick import Yardstick
from soaflow.thresholds import smallest_passing

QUANTILE = 0.99
"""The share of the values whose differences are judged beside the largest one."""


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

    def minimum_factor(self, found: Differences) -> float | None:
        """Return the smallest factor that would pass beside the floor.

        None when none would, as eager has no error, or when there is no yardstick.
        """
        if self.yardstick is None:
            return None
        factors = [self._factor_for(value, error) for _, value, error in self._judged(found)]
        known = [factor for factor in factors if factor is not None]
        return max(known) if len(known) == len(factors) else None

    def criteria(self, found: Differences, unit: str) -> tuple[Criterion, ...]:
        """Return the questions of the yardstick: that of the largest difference and that of the quantile.

        The latter fails only where the histograms prove it: the lower bound of the variant's quantile is
        held against the upper bound of eager's.

        Parameters
        ----------
        found
            Of the variant judged.
        unit
            Of the output.
        """
        return tuple(
            Criterion(
                name,
                measured=value,
                allowed=None if self.yardstick is None else self.yardstick.allows(error),
                needed=value,
                unit=unit,
                detail=self._described(value, error),
            )
            for name, value, error in self._judged(found)
        )

    def _judged(self, found: Differences) -> list[tuple[str, float, float]]:
        """Return name, value and eager's error of each question; no values have no quantile."""
        judged = [("yardstick largest", found.max_absolute, self.largest)]
        bounds = found.quantile_absolute(QUANTILE)
        if bounds is not None and self.quantile is not None:
            judged.append(("yardstick quantile", bounds[0], self.quantile[1]))
        return judged

    def _factor_for(self, value: float, error: float) -> float | None:
        assert self.yardstick is not None
        floor = self.yardstick.floor
        return smallest_passing(lambda factor: value <= Yardstick(factor, floor).allows(error))

    def _described(self, value: float, error: float) -> str:
        times = f"{value / error:.3g} times the" if error else "beside the"
        described = f"{times} error {error:.6g} of {self.variant}"
        if self.yardstick is None:
            return described
        factor = self._factor_for(value, error)
        return (
            f"{described}; {'no factor' if factor is None else f'a factor of {at_least(factor)}'} would pass"
        )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
