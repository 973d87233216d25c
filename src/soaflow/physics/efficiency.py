"""The share of rows that pass a decision, of a reference and of what is compared with it on the same rows.

Both decide on the same rows, so their efficiencies differ only by the rows on which they decide differently:
those that are gained and those that are lost. Rows that both pass or both reject carry no statistical error
of the shift, which is why its error is much smaller than that of the efficiency itself.

The invariant: counts alone are kept, so efficiencies of parts add up exactly, in any order.

>>> loose = Efficiency(rows=400, passed=300, gained=5, lost=1)
>>> loose.reference, loose.value, loose.shift
(0.75, 0.76, 0.01)
>>> round(loose.error, 4), round(loose.shift_error, 4)
(0.0217, 0.0061)
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Self


@dataclass(frozen=True, slots=True)
class Efficiency:
    """How many rows pass, by the reference and by what is compared with it.

    Parameters
    ----------
    rows
        Of which the share is taken.
    passed
        Rows that pass by the reference.
    gained
        Rows that pass and do not by the reference.
    lost
        Rows that do not pass and do by the reference.

    Raises
    ------
    ValueError
        If the counts contradict one another.
    """

    rows: int
    passed: int
    gained: int
    lost: int

    derived: ClassVar[tuple[str, ...]] = ("reference", "value", "error", "shift", "shift_error")

    def __post_init__(self) -> None:
        if min(self.rows, self.passed, self.gained, self.lost) < 0:
            raise ValueError("an efficiency has a negative count")
        if self.lost > self.passed or self.passed + self.gained > self.rows:
            raise ValueError("an efficiency counts more rows than there are")

    @property
    def reference(self) -> float | None:
        """Of the reference; None without rows."""
        return self.passed / self.rows if self.rows else None

    @property
    def value(self) -> float | None:
        """Of what is compared with the reference; None without rows."""
        return (self.passed + self.gained - self.lost) / self.rows if self.rows else None

    @property
    def error(self) -> float | None:
        """Standard error of the reference's efficiency: binomial, `sqrt(e (1 - e) / n)`.

        It is 0 at 0 and at 1, which says too little of few rows. None without rows.
        """
        if not self.rows:
            return None
        return math.sqrt(self.passed * (self.rows - self.passed) / self.rows) / self.rows

    @property
    def shift(self) -> float | None:
        """Efficiency over that of the reference: `(gained - lost) / n`; None without rows."""
        return (self.gained - self.lost) / self.rows if self.rows else None

    @property
    def shift_error(self) -> float | None:
        """Standard error of the shift of two decisions on the same rows; None without rows.

        `sqrt(gained + lost - (gained - lost)^2 / n) / n`: the variance of a difference of correlated
        proportions, by Q. McNemar, Psychometrika 12 (1947) 153, as A. Agresti gives it in Categorical Data
        Analysis (2013), section 11.1.
        """
        if not self.rows:
            return None
        net = self.gained - self.lost
        # Subtracted as integers: where nearly all rows flip, floats would cancel.
        return math.sqrt(((self.gained + self.lost) * self.rows - net * net) / self.rows) / self.rows

    def __add__(self, other: Self) -> Self:
        """Return the counts of both."""
        return type(self)(
            self.rows + other.rows,
            self.passed + other.passed,
            self.gained + other.gained,
            self.lost + other.lost,
        )
