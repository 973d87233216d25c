"""Values and their references, counted in cells a chunk of rows at a time.

The invariant: memory does not grow with the number of rows, and every finite pair is in one cell of the
parity plot and in one of the residual plot.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from soaflow.errors import StorageError
from soaflow.rows import VALUES_PER_CHUNK, in_chunks
from soaflow.soa.signature import PREDICTION_COLLECTION
from soaflow.soa.storage import PREDICTIONS, FileHeader, MappedBlob, map_blob, read_header

COLUMNS, PARITY_ROWS, RESIDUAL_ROWS = 60, 48, 41
"""Cells of a plot. The rows of the residuals are odd in number, so that zero is in the middle of one."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard's reference, and what a variant predicts for the same rows.

    Parameters
    ----------
    reference, candidate
        Of as many rows.
    """

    reference: MappedBlob
    candidate: MappedBlob

    def pairs(
        self, item: str, *, values_per_chunk: int = VALUES_PER_CHUNK
    ) -> Iterator[tuple[Floats, Floats]]:
        """Give references and values of an item, each of one dimension, of some whole rows at a time."""
        reference, values = (_rows_first(blob, item) for blob in (self.reference, self.candidate))
        for chunk in in_chunks(values.shape, values_per_chunk):
            expected, found = (array[chunk].reshape(-1) for array in (reference, values))
            yield expected.astype(np.float64), found.astype(np.float64)


@dataclass(frozen=True, slots=True)
class Extent:
    """What the finite pairs of an item span.

    Parameters
    ----------
    pairs
        How many there are.
    not_finite
        Pairs that are left out, as a NaN or an infinity is in them.
    reference, value
        The least and the largest; both infinite, the wrong way round, without pairs.
    largest
        The largest absolute difference; 0 without pairs.
    """

    pairs: int
    not_finite: int
    reference: tuple[float, float]
    value: tuple[float, float]
    largest: float


@dataclass(frozen=True, slots=True)
class Frame:
    """What a plot shows: values outside count in the outermost cells.

    Ends are apart, and their distance is in the range of float64.

    Parameters
    ----------
    reference, value
        From where to where.
    reach
        Of the residuals to either side of zero.
    """

    reference: tuple[float, float]
    value: tuple[float, float]
    reach: float


@dataclass(frozen=True, slots=True)
class Counts:
    """Pairs by cell of a frame.

    Parameters
    ----------
    parity
        Value against reference: shape `(PARITY_ROWS, COLUMNS)`.
    residual
        Value minus reference, against reference: shape `(RESIDUAL_ROWS, COLUMNS)`.
    """

    parity: npt.NDArray[np.int64]
    residual: npt.NDArray[np.int64]


def read_shards(
    references: Sequence[Path | str], predictions: Sequence[Path | str]
) -> dict[str, tuple[Shard, ...]]:
    """Map predictions and the references of the same rows, by variant in the order of the files.

    Raises
    ------
    StorageError
        If a file is no sound predictions file, has no reference, or has other rows than that.
    """
    known = {_shard_of(header): header for header in (read_header(path, PREDICTIONS) for path in references)}
    found: dict[str, list[Shard]] = {}
    for path in predictions:
        candidate = read_header(path, PREDICTIONS)
        if _shard_of(candidate) not in known:
            raise StorageError(f"{path} has no reference for its dataset and shard: run the workflow again")
        reference = known[_shard_of(candidate)]
        pair = [map_blob(header, PREDICTION_COLLECTION) for header in (reference, candidate)]
        if pair[0].placement.rows != pair[1].placement.rows:
            raise StorageError(
                f"{path} has {pair[1].placement.rows} rows and {reference.path} has "
                f"{pair[0].placement.rows}: run inference on the same events"
            )
        found.setdefault(str(candidate.attributes.get("variant", "")), []).append(Shard(*pair))
    return {variant: tuple(shards) for variant, shards in found.items()}


def extent_of(shards: Sequence[Shard], item: str) -> Extent:
    """Return what the finite pairs of all shards span."""
    pairs = not_finite = 0
    largest, ends = 0.0, [(np.inf, -np.inf), (np.inf, -np.inf)]
    for shard in shards:
        for both in shard.pairs(item):
            reference, value = finite = _finite(*both)
            not_finite += len(both[0]) - len(reference)
            if len(reference):
                pairs += len(reference)
                largest = max(largest, float(np.abs(_residual(reference, value)).max()))
                ends = [
                    (min(low, float(array.min())), max(high, float(array.max())))
                    for (low, high), array in zip(ends, finite, strict=True)
                ]
    return Extent(pairs, not_finite, ends[0], ends[1], largest)


def counts_of(shards: Sequence[Shard], item: str, frame: Frame) -> Counts:
    """Return how many finite pairs of all shards are in each cell of a frame."""
    parity, residual = (np.zeros(rows * COLUMNS, np.int64) for rows in (PARITY_ROWS, RESIDUAL_ROWS))
    for shard in shards:
        for both in shard.pairs(item):
            reference, value = _finite(*both)
            column = _cell(reference, *frame.reference, COLUMNS)
            height = _cell(value, *frame.value, PARITY_ROWS)
            parity += np.bincount(height * COLUMNS + column, minlength=len(parity))
            height = _cell(_residual(reference, value), -frame.reach, frame.reach, RESIDUAL_ROWS)
            residual += np.bincount(height * COLUMNS + column, minlength=len(residual))
    return Counts(parity.reshape(PARITY_ROWS, COLUMNS), residual.reshape(RESIDUAL_ROWS, COLUMNS))


def _shard_of(header: FileHeader) -> tuple[Any, Any]:
    return header.attributes.get("dataset"), header.attributes.get("shard")


def _rows_first(blob: MappedBlob, item: str) -> npt.NDArray[Any]:
    array = blob.array(item)
    return array if array.ndim else np.broadcast_to(array, (blob.placement.rows,))


def _finite(reference: Floats, value: Floats) -> tuple[Floats, Floats]:
    finite = np.isfinite(reference) & np.isfinite(value)
    return (reference, value) if finite.all() else (reference[finite], value[finite])


def _residual(reference: Floats, value: Floats) -> Floats:
    """Return value minus reference; what is beyond float64 is its largest number."""
    with np.errstate(over="ignore"):
        return np.nan_to_num(value - reference)


def _cell(values: Floats, low: float, high: float, cells: int) -> npt.NDArray[np.int64]:
    share = (np.clip(values, low, high) - low) / (high - low)
    return np.minimum((share * cells).astype(np.int64), cells - 1)
