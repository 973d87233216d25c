"""Measures what a variant decides otherwise than the reference, from the predictions of all shards.

The invariant: every figure is of all rows of all shards, and depends neither on how they are cut nor on
their order.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from soaflow.compare.chunks import ROWS_PER_CHUNK, Chunk, Chunks
from soaflow.compare.classification import classification
from soaflow.compare.decisions import ClassFigures, Decisions, NotANumber, RegressionFigures, ScoreFigures
from soaflow.compare.measurement import Shard
from soaflow.compare.observables import Observable, ObservableKind
from soaflow.compare.open_shards import OpenShard, open_shards
from soaflow.compare.ordering import ROWS_AT_A_TIME
from soaflow.compare.resolution import resolution
from soaflow.compare.separation import separation
from soaflow.compare.working_points import at_working_points
from soaflow.errors import ConfigError


def measure_decisions(
    references: Sequence[Path | str],
    candidates: Sequence[Path | str],
    events: Sequence[Path | str],
    observables: Sequence[Observable],
    *,
    rows_per_chunk: int = ROWS_PER_CHUNK,
    rows_at_a_time: int = ROWS_AT_A_TIME,
) -> Decisions:
    """Compare what is decided by a candidate's predictions and by the reference's.

    Parameters
    ----------
    references, candidates, events
        Predictions and events files of all shards, in one order.
    observables
        What is made of the predictions.
    rows_per_chunk, rows_at_a_time
        Rows that are looked at, and sorted, at a time; they bound the memory and change no figure.

    Raises
    ------
    ConfigError
        If the truths are not all in one collection.
    StorageError
        If a file is not sound, the files do not fit together, the predictions lack an item, or a true
        class has no score.
    LayoutError
        If the events lack an item.
    """
    truths = {observable.truth.collection for observable in observables if observable.truth is not None}
    if len(truths) > 1:
        raise ConfigError(
            f"the truths are in the collections {', '.join(sorted(truths))}: the rows predicted are of one"
        )
    figures: dict[ObservableKind, list[Any]] = {kind: [] for kind in ObservableKind}
    with open_shards(references, candidates, events, next(iter(truths), None)) as (described, shards):
        for observable in observables:
            chunks = _chunks_of(shards, observable, rows_per_chunk)
            figures[observable.kind].append(_MEASURED[observable.kind](observable, chunks, rows_at_a_time))
    return Decisions(
        **described,
        shards=tuple(Shard(shard.name, shard.rows, shard.events_sha256) for shard in shards),
        scores=tuple(figures[ObservableKind.SCORE]),
        classes=tuple(figures[ObservableKind.CLASS]),
        regressions=tuple(figures[ObservableKind.REGRESSION]),
    )


def _chunks_of(shards: Sequence[OpenShard], observable: Observable, rows_per_chunk: int) -> Chunks:
    def chunks() -> Iterator[Chunk]:
        for shard in shards:
            yield from shard.chunks(observable, rows_per_chunk)

    return chunks


def _described(observable: Observable) -> dict[str, str]:
    truth = "" if observable.truth is None else observable.truth.described
    return {"name": observable.name, "item": observable.columns[0].item, "truth": truth}


def _not_a_number(chunks: Chunks) -> NotANumber:
    found = np.zeros(2, np.int64)
    for chunk in chunks():
        found += [np.count_nonzero(np.isnan(scores).any(axis=1)) for scores in (chunk.reference, chunk.value)]
    return NotANumber(*found.tolist())


def _score(observable: Observable, chunks: Chunks, rows_at_a_time: int) -> ScoreFigures:
    truth = observable.truth
    return ScoreFigures(
        **_described(observable),
        not_a_number=_not_a_number(chunks),
        working_points=at_working_points(chunks(), observable),
        separation=None if truth is None else separation(chunks, truth.equals, rows_at_a_time=rows_at_a_time),
    )


def _class(observable: Observable, chunks: Chunks, _rows_at_a_time: int) -> ClassFigures:
    truth = None if observable.truth is None else observable.truth.described
    return ClassFigures(
        **_described(observable),
        not_a_number=_not_a_number(chunks),
        classification=classification(chunks(), len(observable.columns), truth),
    )


def _regression(observable: Observable, chunks: Chunks, rows_at_a_time: int) -> RegressionFigures:
    return RegressionFigures(
        **_described(observable), resolution=resolution(chunks, rows_at_a_time=rows_at_a_time)
    )


_MEASURED = {
    ObservableKind.SCORE: _score,
    ObservableKind.CLASS: _class,
    ObservableKind.REGRESSION: _regression,
}
