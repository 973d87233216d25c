"""The area under the ROC curve of reference and candidate, exact to the last row.

Twice the number of pairs of a signal and a background row where the signal scores higher, ties once, is an
integer; over twice the number of all pairs it is the area. A row where either score is NaN has no place in
an order: it is left out of both areas and counted.

The invariant: the pairs are counted and not summed, so the area depends neither on chunks nor on shards.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from soaflow.compare.chunks import Chunks
from soaflow.compare.ordering import ROWS_AT_A_TIME, Stream, pieces
from soaflow.physics.separation import auc_error, is_signal


@dataclass(frozen=True, slots=True)
class Separation:
    """How well a score separates signal from background, in reference and candidate.

    Parameters
    ----------
    signal, background
        Rows without a NaN.
    left_out
        Rows where either score is NaN.
    reference_pairs, value_pairs
        Twice the pairs where the signal scores above the background, ties once.
    """

    signal: int
    background: int
    left_out: int
    reference_pairs: int
    value_pairs: int

    derived: ClassVar[tuple[str, ...]] = ("reference", "value", "error", "shift")

    def __post_init__(self) -> None:
        counts = (self.signal, self.background, self.left_out, self.reference_pairs, self.value_pairs)
        if min(counts) < 0 or max(counts[3:]) > 2 * self.pairs:
            raise ValueError("an area under the curve counts more pairs than there are")

    @property
    def pairs(self) -> int:
        """Of a signal and a background row."""
        return self.signal * self.background

    @property
    def reference(self) -> float | None:
        """Area of the reference, correctly rounded; None without signal or background."""
        return self._area(self.reference_pairs)

    @property
    def value(self) -> float | None:
        """Area of the candidate, correctly rounded; None without signal or background."""
        return self._area(self.value_pairs)

    @property
    def shift(self) -> float | None:
        """Area over that of the reference, correctly rounded; None without signal or background."""
        return self._area(self.value_pairs - self.reference_pairs)

    @property
    def error(self) -> float | None:
        """Standard error of the reference's area (Hanley and McNeil 1982); None without one.

        That of the shift is much smaller, as both score the same rows.
        """
        area = self.reference
        return None if area is None else auc_error(area, self.signal, self.background)

    def _area(self, pairs: int) -> float | None:
        return float(Fraction(pairs, 2 * self.pairs)) if self.pairs else None


def separation(chunks: Chunks, equals: float | None, *, rows_at_a_time: int = ROWS_AT_A_TIME) -> Separation:
    """Count the pairs.

    Parameters
    ----------
    chunks
        All rows, with the one column of a score and the truth.
    equals
        The truth that is signal, as `soaflow.physics.separation.is_signal` takes it.
    rows_at_a_time
        Rows that are sorted at a time; bounds the memory.
    """
    signal = background = left_out = 0
    for chunk in chunks():
        known = ~np.isnan(chunk.reference[:, 0]) & ~np.isnan(chunk.value[:, 0])
        truth = is_signal(np.asarray(chunk.truth), equals)
        signal += int(np.count_nonzero(truth & known))
        background += int(np.count_nonzero(~truth & known))
        left_out += int(np.count_nonzero(~known))
    reference, value = (
        _pairs(_scores(chunks, equals, of_value), rows_at_a_time) for of_value in (False, True)
    )
    return Separation(signal, background, left_out, reference, value)


def _scores(chunks: Chunks, equals: float | None, of_value: bool) -> Stream:
    def stream() -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]]:
        for chunk in chunks():
            known = ~np.isnan(chunk.reference[:, 0]) & ~np.isnan(chunk.value[:, 0])
            scores = (chunk.value if of_value else chunk.reference)[:, 0]
            yield scores[known], is_signal(np.asarray(chunk.truth), equals)[known]

    return stream


def _pairs(scores: Stream, rows_at_a_time: int) -> int:
    """Return twice the pairs of a marked and an unmarked row where the marked one is higher, ties once."""
    pairs = below = 0
    for piece in pieces(scores, rows_at_a_time=rows_at_a_time):
        before = np.cumsum(piece.unmarked) - piece.unmarked
        # In a piece the counts fit int64; all that lies below it is multiplied without a limit.
        pairs += int(np.sum(piece.marked * (2 * before + piece.unmarked)))
        pairs += 2 * below * int(piece.marked.sum())
        below += int(piece.unmarked.sum())
    return pairs
