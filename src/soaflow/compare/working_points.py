"""Decisions by threshold: which rows pass a working point in one prediction and not in the other.

A row passes where `score >= threshold`; a NaN never passes, as in C++.

The invariant: each row is counted once, and what is kept of the rows that flip are the first ones by shard
and row, so the figures depend neither on the chunks nor on the order of the shards.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from soaflow.compare.chunks import Chunk
from soaflow.compare.observables import Observable, WorkingPoint
from soaflow.compare.places import place_order
from soaflow.physics.efficiency import Efficiency
from soaflow.physics.separation import is_signal

FLIPS_KEPT = 5
"""How many of the rows that flip are kept."""


@dataclass(frozen=True, slots=True)
class Flip:
    """A row that is decided differently.

    Parameters
    ----------
    shard, row
        Where it is.
    reference, value
        Both scores, or for a class those of all classes, written out so that a NaN can stand here too.
    """

    shard: str
    row: int
    reference: tuple[str, ...]
    value: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AtWorkingPoint:
    """The decisions at one threshold.

    Parameters
    ----------
    name, threshold
        Of the working point.
    flips
        The first rows that are decided differently.
    everything
        Of all rows.
    signal, background
        Of these alone; None where the truth is not known.
    """

    name: str
    threshold: float
    flips: tuple[Flip, ...]
    everything: Efficiency
    signal: Efficiency | None
    background: Efficiency | None

    derived: ClassVar[tuple[str, ...]] = ("flipped",)

    def __post_init__(self) -> None:
        if len(self.flips) != min(self.flipped, FLIPS_KEPT):
            raise ValueError(f"{self.name} keeps {len(self.flips)} of {self.flipped} rows that flip")
        if self.signal and self.background and self.signal + self.background != self.everything:
            raise ValueError(f"{self.name} counts other rows as signal and background than as all rows")

    @property
    def flipped(self) -> int:
        """Number of rows that are decided differently."""
        return self.everything.gained + self.everything.lost


def first_flips(flips: Iterable[Flip]) -> tuple[Flip, ...]:
    """Return the first `FLIPS_KEPT` rows by shard and row."""
    return tuple(sorted(flips, key=lambda flip: place_order(flip.shard, flip.row))[:FLIPS_KEPT])


def flips_in(chunk: Chunk, flipped: npt.NDArray[np.bool_]) -> list[Flip]:
    """Return the first `FLIPS_KEPT` of the rows of a chunk that flip."""
    return [
        Flip(
            chunk.shard,
            chunk.first_row + row,
            tuple(map(str, chunk.reference[row].tolist())),
            tuple(map(str, chunk.value[row].tolist())),
        )
        for row in np.flatnonzero(flipped)[:FLIPS_KEPT].tolist()
    ]


def efficiency(
    reference: npt.NDArray[np.bool_], value: npt.NDArray[np.bool_], chosen: npt.NDArray[np.bool_]
) -> Efficiency:
    """Count the decisions on the chosen rows. All of shape `(n,)`."""
    before, after = reference & chosen, value & chosen
    return Efficiency(
        int(np.count_nonzero(chosen)),
        int(np.count_nonzero(before)),
        int(np.count_nonzero(after & ~before)),
        int(np.count_nonzero(before & ~after)),
    )


def at_working_points(chunks: Iterable[Chunk], observable: Observable) -> tuple[AtWorkingPoint, ...]:
    """Count the decisions at each working point.

    Parameters
    ----------
    chunks
        All rows, with the one column of a score.
    observable
        A score.
    """
    counts = [_Counts(point) for point in observable.working_points]
    equals = None if observable.truth is None else observable.truth.equals
    for chunk in chunks:
        signal = None if chunk.truth is None else is_signal(chunk.truth, equals)
        for running in counts:
            running.add(chunk, signal)
    return tuple(running.result(observable.truth is not None) for running in counts)


class _Counts:
    """The decisions at one working point in the chunks seen so far."""

    def __init__(self, point: WorkingPoint) -> None:
        self.point = point
        self.flips: tuple[Flip, ...] = ()
        self.everything = self.signal = self.background = Efficiency(0, 0, 0, 0)

    def add(self, chunk: Chunk, signal: npt.NDArray[np.bool_] | None) -> None:
        # A comparison with NaN is false.
        reference, value = (scores[:, 0] >= self.point.threshold for scores in (chunk.reference, chunk.value))
        self.everything += efficiency(reference, value, np.ones(len(value), bool))
        if signal is not None:
            self.signal += efficiency(reference, value, signal)
            self.background += efficiency(reference, value, ~signal)
        self.flips = first_flips([*self.flips, *flips_in(chunk, reference != value)])

    def result(self, with_truth: bool) -> AtWorkingPoint:
        return AtWorkingPoint(
            self.point.name,
            self.point.threshold,
            self.flips,
            self.everything,
            self.signal if with_truth else None,
            self.background if with_truth else None,
        )
