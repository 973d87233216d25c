"""Predictions of reference and candidate with their truth, a chunk of rows at a time.

The invariant: a chunk is made from mapped files and forgotten, so memory does not grow with the rows; and
nothing that is measured from chunks depends on how the rows are cut or in which order the shards come.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from soaflow.compare.agreement import check_agreement
from soaflow.compare.observables import Column, Observable
from soaflow.errors import StorageError
from soaflow.soa.signature import PREDICTION_COLLECTION
from soaflow.soa.storage import EVENTS, PREDICTIONS, FileHeader, MappedBlob, map_blob, read_header

ROWS_PER_CHUNK = 1 << 17
"""Rows looked at at a time; bounds the memory, and changes no figure."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a shard.

    Parameters
    ----------
    shard
        That the rows are of.
    first_row
        Of the chunk, in the shard.
    reference, value
        Shape `(n, columns)`, float64.
    truth
        Shape `(n,)`, in the item's dtype; None where it is not known.
    """

    shard: str
    first_row: int
    reference: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]
    truth: npt.NDArray[Any] | None


Chunks = Callable[[], Iterator[Chunk]]
"""Gives all rows, and gives them again with each call."""


@dataclass(frozen=True, slots=True)
class MappedShard:
    """The mapped files of one shard.

    Parameters
    ----------
    name, events_sha256
        Of the shard, and of the events that the candidate was made from; empty where it does not say.
    reference, candidate
        Predictions of as many rows.
    events
        The collection that holds the truth, of as many rows; None where it is not known.
    """

    name: str
    events_sha256: str
    reference: MappedBlob
    candidate: MappedBlob
    events: MappedBlob | None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.candidate.placement.rows

    def chunks(self, observable: Observable, rows_per_chunk: int) -> Iterator[Chunk]:
        """Yield the rows of an observable.

        Raises
        ------
        LayoutError
            If an item is not there.
        """
        columns = [_views(blob, observable.columns) for blob in (self.reference, self.candidate)]
        truth = None
        if observable.truth is not None and self.events is not None:
            truth = self.events.array(observable.truth.item)
        for begin in range(0, self.rows, rows_per_chunk):
            end = min(begin + rows_per_chunk, self.rows)
            reference, value = (
                np.stack([view[begin:end] for view in views], axis=1).astype(np.float64) for views in columns
            )
            yield Chunk(
                self.name, begin, reference, value, None if truth is None else np.array(truth[begin:end])
            )


def open_shards(
    references: Sequence[Path | str],
    candidates: Sequence[Path | str],
    events: Sequence[Path | str],
    truth_collection: str | None,
) -> tuple[dict[str, str], tuple[MappedShard, ...]]:
    """Map the files of all shards of a dataset.

    Parameters
    ----------
    references, candidates, events
        Files of the shards, in one order.
    truth_collection
        Of the events; None where no truth is asked for, and the events are then not opened.

    Returns
    -------
    tuple
        Dataset, model, variant and weights_sha256 by these names, and the shards.

    Raises
    ------
    StorageError
        If there are not as many files of each kind, a file is not sound, the files of a shard are of other
        events, models, weights or rows, or the shards are not those of one dataset, model, variant and
        weights, or one of them comes twice.
    """
    if not len(references) == len(candidates) == len(events) > 0:
        raise StorageError(
            f"there are {len(references)} references, {len(candidates)} predictions and {len(events)} events "
            "files: give one of each for each shard"
        )
    described: dict[str, str] = {}
    shards: dict[str, MappedShard] = {}
    for paths in zip(references, candidates, events, strict=True):
        reference, candidate = (read_header(path, PREDICTIONS) for path in paths[:2])
        check_agreement(reference, candidate, first_rows=False)
        found, name = _said(candidate, *_SHARED), _said(candidate, "shard")["shard"]
        described = described or found
        if found != described or name in shards:
            raise StorageError(
                f"{candidate.path} is shard '{name}' of {_listed(found)}, beside shards "
                f"{', '.join(shards)} of {_listed(described)}: give each shard of one run once"
            )
        blobs = [map_blob(header, PREDICTION_COLLECTION) for header in (reference, candidate)]
        truths = None if truth_collection is None else _map_truth(paths[2], candidate, truth_collection)
        made_from = _said(candidate, "events_sha256")["events_sha256"]
        shards[name] = MappedShard(name, made_from, blobs[0], blobs[1], truths)
    return described, tuple(shards.values())


_SHARED = ("dataset", "model", "variant", "weights_sha256")
"""Attributes of predictions that all shards have in common."""


def _said(header: FileHeader, *keys: str) -> dict[str, str]:
    return {key: str(header.attributes.get(key, "")) for key in keys}


def _listed(said: Mapping[str, str]) -> str:
    return ", ".join(f"{key} '{value}'" for key, value in said.items() if value)


def _map_truth(events: Path | str, candidate: FileHeader, collection: str) -> MappedBlob:
    header = read_header(events, EVENTS)
    truth = map_blob(header, collection)
    rows = candidate.collection(PREDICTION_COLLECTION).placement.rows
    if truth.placement.rows != rows:
        raise StorageError(
            f"{events} has {truth.placement.rows} rows of '{collection}' and {candidate.path} has {rows}: "
            "give the events that the predictions were made from"
        )
    made_from = candidate.attributes.get("events_sha256")
    if made_from is not None and made_from != header.description_sha256():
        raise StorageError(
            f"{candidate.path} was made from other events than {events}: run inference on these again"
        )
    return truth


def _views(blob: MappedBlob, columns: Sequence[Column]) -> list[npt.NDArray[Any]]:
    indices: list[tuple[Any, ...]] = [(slice(None), *column.element) for column in columns]
    return [blob.array(column.item)[index] for column, index in zip(columns, indices, strict=True)]
