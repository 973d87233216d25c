"""One question of a verdict: what was measured, what is allowed, and what would have to be allowed.

The invariant: a criterion decides by its own figures alone, so whoever reads it can decide again.

>>> flips = Criterion("flips at loose", measured=3, allowed=1, needed=3, unit="rows", detail="rows 5, 9, 12")
>>> flips.passed, flips.sentence
(False, 'flips at loose: 3 rows where 1 is allowed (rows 5, 9, 12); 3 would pass')
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from typing import ClassVar

_DIGITS = 6
"""Of the numbers in a sentence."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One question of a verdict, and its answer.

    Parameters
    ----------
    name
        What is asked, such as `"flips at loose"`; unique among the criteria of an output.
    measured
        What was found; None where it could not be measured, which does not pass a limit.
    allowed
        The largest value that passes; None for what is shown and fails nothing.
    needed
        The smallest allowed value that would pass; None where none would.
    unit
        Of all three; empty for a plain number.
    detail
        Where, or how it was measured, in a few words; may be empty.
    """

    derived: ClassVar[tuple[str, ...]] = ("passed", "remedy", "sentence")

    name: str
    measured: float | None
    allowed: float | None
    needed: float | None
    unit: str = ""
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether what was measured is allowed."""
        return self.allowed is None or (self.measured is not None and self.measured <= self.allowed)

    @property
    def remedy(self) -> str:
        """What would pass."""
        return "nothing would pass" if self.needed is None else f"{at_least(self.needed)} would pass"

    @property
    def sentence(self) -> str:
        """What was found, where what is allowed, and what would pass."""
        unit = f" {self.unit}" if self.unit else ""
        found = "not measured" if self.measured is None else f"{self.measured:.{_DIGITS}g}{unit}"
        detail = f" ({self.detail})" if self.detail else ""
        if self.allowed is None:
            return f"{self.name}: {found}{detail}"
        return f"{self.name}: {found} where {self.allowed:g} is allowed{detail}; {self.remedy}"


def at_least(value: float) -> str:
    """Return a number with few digits that is not below a value, so what it says would pass does pass.

    >>> at_least(0.12345611), at_least(2.5e-5), at_least(1 / 3)
    ('0.123457', '2.5e-05', '0.333334')
    """
    nearest = f"{value:.{_DIGITS}g}"
    if float(nearest) >= value:
        return nearest
    return f"{float(Context(prec=_DIGITS, rounding=ROUND_CEILING).create_decimal(value)):.{_DIGITS}g}"
