"""The files of all shards of a dataset, from which chunks of rows are read.

The invariant: a chunk is read and forgotten, so memory does not grow with the rows; and the files of a shard
are of the same events, model and weights as far as they say.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from soaflow.compare.agreement import check_agreement
from soaflow.compare.chunks import Chunk
from soaflow.compare.observables import Column, Observable
from soaflow.compare.places import place_order
from soaflow.compare.sources import Source, identity_of, opened_sources
from soaflow.errors import StorageError
from soaflow.soa.storage import EVENTS, MappedBlob, map_blob, read_header


@dataclass(frozen=True, slots=True)
class OpenShard:
    """The open files of one shard.

    Parameters
    ----------
    name, events_sha256
        Of the shard, and of the events that the predictions were made from; empty where they do not say.
    reference, candidate
        Predictions of as many rows.
    events
        The collection that holds the truth, of as many rows; None where it is not known.
    """

    name: str
    events_sha256: str
    reference: Source
    candidate: Source
    events: MappedBlob | None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.candidate.rows

    def chunks(self, observable: Observable, rows_per_chunk: int) -> Iterator[Chunk]:
        """Yield the rows of an observable.

        Raises
        ------
        StorageError
            If the predictions lack an item.
        LayoutError
            If the events lack an item.
        """
        truth = None
        if observable.truth is not None and self.events is not None:
            truth = self.events.array(observable.truth.item)
        for begin in range(0, self.rows, rows_per_chunk):
            chosen = slice(begin, min(begin + rows_per_chunk, self.rows))
            yield Chunk(
                self.name,
                begin,
                _columns(self.reference, observable.columns, chosen),
                _columns(self.candidate, observable.columns, chosen),
                None if truth is None else np.array(truth[chosen]),
            )


@contextmanager
def open_shards(
    references: Sequence[Path | str],
    candidates: Sequence[Path | str],
    events: Sequence[Path | str],
    truth_collection: str | None,
) -> Iterator[tuple[dict[str, str], tuple[OpenShard, ...]]]:
    """Open the files of all shards of a dataset.

    Parameters
    ----------
    references, candidates, events
        Files of the shards, in one order.
    truth_collection
        Of the events; None where no truth is asked for, and the events are then not opened.

    Returns
    -------
    tuple
        Dataset, model, variant and weights_sha256 by these names, and the shards in their order.

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
    shards: dict[str, OpenShard] = {}
    with ExitStack() as stack:
        for paths in zip(references, candidates, events, strict=True):
            reference, candidate = stack.enter_context(opened_sources(*paths[:2]))
            check_agreement(reference, candidate, first_rows=False)
            said = identity_of(reference, candidate)
            found, name = {key: said[key] for key in _SHARED}, said["shard"]
            described = described or found
            if found != described or name in shards:
                raise StorageError(
                    f"{candidate.path} is shard '{name}' of {_listed(found)}, beside shards "
                    f"{', '.join(shards)} of {_listed(described)}: give each shard of one run once"
                )
            truths = None
            if truth_collection is not None:
                truths = _map_truth(paths[2], candidate, truth_collection)
            shards[name] = OpenShard(name, said["events_sha256"], reference, candidate, truths)
        yield described, tuple(shards[name] for name in sorted(shards, key=lambda name: place_order(name, 0)))


_SHARED = ("dataset", "model", "variant", "weights_sha256")
"""What all shards have in common."""


def _listed(said: Mapping[str, str]) -> str:
    return ", ".join(f"{key} '{value}'" for key, value in said.items() if value)


def _map_truth(events: Path | str, candidate: Source, collection: str) -> MappedBlob:
    header = read_header(events, EVENTS)
    truth = map_blob(header, collection)
    if truth.placement.rows != candidate.rows:
        raise StorageError(
            f"{events} has {truth.placement.rows} rows of '{collection}' and {candidate.path} has "
            f"{candidate.rows}: give the events that the predictions were made from"
        )
    made_from = candidate.identity["events_sha256"]
    if made_from and made_from != header.description_sha256():
        raise StorageError(
            f"{candidate.path} was made from other events than {events}: run inference on these again"
        )
    return truth


def _columns(source: Source, columns: Sequence[Column], chosen: slice) -> npt.NDArray[np.float64]:
    """Read rows of the columns, each item once."""
    items = dict.fromkeys(column.item for column in columns)
    if missing := [item for item in items if item not in source.values]:
        raise StorageError(f"{source.path} has no output '{missing[0]}': run inference with this model again")
    blocks = {item: source.values[item][chosen] for item in items}
    indices: list[tuple[Any, ...]] = [(slice(None), *column.element) for column in columns]
    views = [blocks[column.item][index] for column, index in zip(columns, indices, strict=True)]
    return np.stack(views, axis=1).astype(np.float64)
