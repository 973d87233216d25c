"""How far an operation's output is from float64, and how far it may be.

The invariant: an output diverges if it is farther from the float64 walk than `factor` times what the
program itself is, run eagerly in its own precision on the same rows, plus `FLOOR_ULPS` units in the last
place of the largest value. Where eagerly run values are NaN or infinite, the candidate's must be the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

FACTOR = 2.0
"""By default an output may be so many times as far from float64 as the eager one."""

FLOOR_ULPS = 8
"""Units in the last place of the largest value, always allowed: an eager error may be zero by chance."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was found of one output over all rows so far.

    Parameters
    ----------
    difference
        Largest absolute difference of the candidate from float64; infinite where NaN, infinities or shapes
        do not match.
    own
        The same of the program, run eagerly.
    floor
        What is allowed besides; 0 for integers and bools.
    """

    difference: float = 0.0
    own: float = 0.0
    floor: float = 0.0

    def allowed(self, factor: float) -> float:
        """Return the largest difference that is none of the candidate's fault."""
        return factor * self.own + self.floor

    def diverges(self, factor: float) -> bool:
        """Tell whether the candidate is farther off than it may be."""
        return self.difference > self.allowed(factor)

    def joined(self, other: "Figures") -> "Figures":
        """Return the figures of these rows and others."""
        return Figures(
            max(self.difference, other.difference), max(self.own, other.own), max(self.floor, other.floor)
        )


def measure(
    reference: Sequence[torch.Tensor], eager: Sequence[torch.Tensor], candidate: Sequence[torch.Tensor]
) -> Figures:
    """Compare the tensors that one operation gave.

    Parameters
    ----------
    reference
        Of the float64 walk.
    eager
        Of the program in its own precision.
    candidate
        Of what is in question; any number, shapes and dtypes.
    """
    if [one.shape for one in candidate] != [one.shape for one in reference]:
        return Figures(difference=float("inf"))
    figures = Figures()
    for wide, own, other in zip(reference, eager, candidate, strict=True):
        figures = figures.joined(_measure(wide, own, other))
    return figures


def _measure(reference: torch.Tensor, eager: torch.Tensor, candidate: torch.Tensor) -> Figures:
    expected, own, got = (tensor.detach().to(torch.float64) for tensor in (reference, eager, candidate))
    usual = own.isfinite()
    same_specials = torch.equal(usual, got.isfinite()) and torch.equal(
        own[~usual].nan_to_num(nan=0.0), got[~usual].nan_to_num(nan=0.0)
    )
    usual &= expected.isfinite()
    largest = _largest(expected[usual])
    epsilon = torch.finfo(eager.dtype).eps if eager.is_floating_point() else 0.0
    return Figures(
        difference=_largest((got - expected)[usual]) if same_specials else float("inf"),
        own=_largest((own - expected)[usual]),
        floor=FLOOR_ULPS * epsilon * largest,
    )


def _largest(values: torch.Tensor) -> float:
    return float(values.abs().max()) if values.numel() else 0.0
