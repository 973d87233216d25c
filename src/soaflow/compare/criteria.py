"""One question of a verdict: what was measured, what is allowed, and what would have to be allowed.

The invariant: a criterion decides by its own figures alone, so whoever reads it can decide again.

>>> flips = Criterion("flips at loose", measured=3, allowed=1, needed=3, unit="rows", detail="rows 5, 9, 12")
>>> flips.passed, flips.sentence
(False, 'flips at loose: 3 rows where 1 is allowed (rows 5, 9, 12); 3 would pass')
"""

from dataclasses import dataclass


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
    def sentence(self) -> str:
        """What was found, where what is allowed, and what would pass."""
        unit = f" {self.unit}" if self.unit else ""
        found = "not measured" if self.measured is None else f"{self.measured:.6g}{unit}"
        detail = f" ({self.detail})" if self.detail else ""
        if self.allowed is None:
            return f"{self.name}: {found}{detail}"
        remedy = "nothing would pass" if self.needed is None else f"{self.needed:.6g} would pass"
        return f"{self.name}: {found} where {self.allowed:g} is allowed{detail}; {remedy}"
