"""Decisions for a class, that of the largest score: which rows change their class, and how many are right.

Of equal scores the first class is chosen. A row with a NaN score has no class: it is counted as a flip
where the other prediction has one, and is never right.

The invariant: as in `soaflow.compare.working_points`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from soaflow.compare.chunks import Chunk
from soaflow.compare.working_points import FLIPS_KEPT, Flip, efficiency, first_flips, flips_in
from soaflow.errors import StorageError
from soaflow.physics.efficiency import Efficiency

_NO_CLASS = -1


@dataclass(frozen=True, slots=True)
class Classification:
    """The decisions for a class.

    Parameters
    ----------
    rows
        All of them.
    flipped
        Rows that are given another class than by the reference.
    flips
        The first of these.
    by_class
        For each true class its rows, and of them those that are given this class; empty where the truth is
        not known.
    """

    rows: int
    flipped: int
    flips: tuple[Flip, ...]
    by_class: tuple[Efficiency, ...]

    derived: ClassVar[tuple[str, ...]] = ("right",)

    def __post_init__(self) -> None:
        if not 0 <= self.flipped <= self.rows or len(self.flips) != min(self.flipped, FLIPS_KEPT):
            raise ValueError(f"{len(self.flips)} of {self.flipped} rows that change their class are kept")
        if self.right is not None and (
            self.right.rows != self.rows or self.right.gained + self.right.lost > self.flipped
        ):
            raise ValueError("the true classes count other rows than there are")

    @property
    def right(self) -> Efficiency | None:
        """Of all rows, those that are given their true class; None where the truth is not known."""
        return reduce(add, self.by_class) if self.by_class else None


def classification(chunks: Iterable[Chunk], classes: int, truth: str | None) -> Classification:
    """Count the decisions.

    Parameters
    ----------
    chunks
        All rows, with a column for each class.
    classes
        Number of classes.
    truth
        What holds the true class, for errors; None where it is not known.

    Raises
    ------
    StorageError
        If a true class is not one of those that there are scores for.
    """
    rows = flipped = 0
    flips: tuple[Flip, ...] = ()
    by_class = [Efficiency(0, 0, 0, 0)] * (0 if truth is None else classes)
    for chunk in chunks:
        reference, value = _classes(chunk.reference), _classes(chunk.value)
        changed = reference != value
        rows += len(value)
        flipped += int(np.count_nonzero(changed))
        flips = first_flips([*flips, *flips_in(chunk, changed)])
        if chunk.truth is None or truth is None:
            continue
        if len(value) and not (chunk.truth.min() >= 0 and chunk.truth.max() < classes):
            raise StorageError(
                f"item {truth} has classes from {chunk.truth.min()} to {chunk.truth.max()} in shard "
                f"{chunk.shard}, and there are scores for 0 to {classes - 1}: give the output their number"
            )
        for index in range(classes):
            by_class[index] += efficiency(reference == index, value == index, chunk.truth == index)
    return Classification(rows, flipped, flips, tuple(by_class))


def _classes(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return np.where(np.isnan(scores).any(axis=1), _NO_CLASS, scores.argmax(axis=1))
