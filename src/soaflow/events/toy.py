"""Generated events of any number, in bounded memory, the same for any number of shards.

The invariant: event i and its rows depend on the seed and on i only. A first pass over the cheap
multiplicity streams gives the number of rows, so that the file can be laid out; a second one
generates the rows, a block of `soaflow.events.streams.BLOCK_EVENTS` events at a time.

>>> from soaflow.events.datasets import ToyDataset
>>> plan = plan_toy(ToyDataset("toy", seed=1, events=5000, shards=2, collections=("particles",)), shard=1)
>>> plan.placements["events"].rows, plan.attributes["first_event"]
(2500, 2500)
>>> [len(chunk["events"]["number"]) for chunk in plan.chunks]
[1596, 904]

The bytes repeat for one version of NumPy on one kind of CPU: NumPy may change its distributions
between versions, and its exp and power may differ in the last bit between instruction sets.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from soaflow.errors import EventSourceError
from soaflow.events import images, particles, tracks
from soaflow.events.datasets import MOST_ROWS_POINTED_TO, ToyDataset
from soaflow.events.plan import Chunk, Columns, ShardPlan, shard_range
from soaflow.events.streams import BLOCK_EVENTS, BlockPart, Stream, blocks, generator
from soaflow.soa.layout import EVENT_ITEM, EVENTS_COLLECTION

_MULTIPLICITIES: Mapping[str, tuple[Stream, float]] = {
    "particles": (Stream.PARTICLE_MULTIPLICITY, particles.MEAN_PARTICLES),
    "images": (Stream.IMAGE_MULTIPLICITY, images.MEAN_IMAGES),
    "tracks": (Stream.TRACK_MULTIPLICITY, tracks.MEAN_TRACKS),
}


@dataclass(frozen=True, slots=True)
class _Block:
    """One whole block of one dataset."""

    seed: int
    number: int

    def stream(self, stream: Stream) -> np.random.Generator:
        return generator(self.seed, stream, self.number)

    def counts(self, collection: str) -> npt.NDArray[np.int64]:
        """Rows of each event, int64 `[BLOCK_EVENTS]`."""
        if collection == "hits":
            counts = self.counts("tracks")
            hits_before_track = _offsets(self._detected(counts).sum(axis=1))
            return np.diff(hits_before_track[_offsets(counts)])
        stream, mean = _MULTIPLICITIES[collection]
        return self.stream(stream).poisson(mean, BLOCK_EVENTS)

    def rows(self, collection: str) -> Columns:
        """All items of all rows, but for `event`."""
        if collection == "particles":
            return particles.make_particles(self.stream(Stream.PARTICLES), int(self.counts(collection).sum()))
        if collection == "images":
            return images.make_images(self.stream(Stream.IMAGES), int(self.counts(collection).sum()))
        counts = self.counts("tracks")
        made = tracks.make_tracks(self.stream(Stream.TRACKS), int(counts.sum()))
        if collection == "tracks":
            return made
        return tracks.make_hits(self.stream(Stream.HITS), made, self._detected(counts))

    def _detected(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return tracks.detect(self.stream(Stream.HIT_DETECTION), int(counts.sum()))


def plan_toy(dataset: ToyDataset, shard: int) -> ShardPlan:
    """Plan one shard of generated events.

    Parameters
    ----------
    dataset
        What to generate.
    shard
        From 0 to `dataset.shards - 1`.

    Returns
    -------
    ShardPlan
        Its chunks are generated as they are asked for.

    Raises
    ------
    EventSourceError
        If hits would have to name more tracks than an int32 can count.
    """
    events = shard_range(dataset.events, dataset.shards, shard)
    rows = {EVENTS_COLLECTION: len(events)} | dict.fromkeys(dataset.collections, 0)
    for part in blocks(events):
        for collection in dataset.collections:
            counts = _Block(dataset.seed, part.block).counts(collection)
            rows[collection] += int(counts[part.begin : part.end].sum())
    if "hits" in rows and rows["tracks"] > MOST_ROWS_POINTED_TO:
        raise EventSourceError(
            f"dataset '{dataset.name}' has {rows['tracks']} tracks in shard {shard}, and the item "
            f"'hits/track' can name {MOST_ROWS_POINTED_TO}: give more shards"
        )
    return ShardPlan(
        placements={name: layout.place(rows[name]) for name, layout in dataset.layouts().items()},
        attributes={
            "dataset": dataset.name,
            "source": dataset.source,
            "origin": dataset.origin,
            "seed": dataset.seed,
            "shard": shard,
            "shards": dataset.shards,
            "first_event": events.start,
            "events": len(events),
        },
        scalars={"hits": {"scale": tracks.HIT_SCALE}} if "hits" in dataset.collections else {},
        chunks=_chunks(dataset, events),
    )


def _chunks(dataset: ToyDataset, events: range) -> Iterator[Chunk]:
    tracks_before = 0
    for part in blocks(events):
        chunk = _chunk(dataset, part, part.first_event - events.start, tracks_before)
        yield chunk
        tracks_before += len(chunk["tracks"]["pt"]) if "tracks" in chunk else 0


def _chunk(dataset: ToyDataset, part: BlockPart, events_before: int, tracks_before: int) -> Chunk:
    """Generate a part of a block; the two numbers say what the file holds before it."""
    block = _Block(dataset.seed, part.block)
    number = np.arange(part.first_event, part.first_event + part.events, dtype=np.int64)
    chunk: Chunk = {EVENTS_COLLECTION: {"number": number}}
    event = np.arange(events_before, events_before + part.events, dtype=np.int32)
    for collection in dataset.collections:
        counts = block.counts(collection)
        begin, end = (int(row) for row in _offsets(counts)[[part.begin, part.end]])
        columns = {name: values[begin:end] for name, values in block.rows(collection).items()}
        if collection == "hits":
            tracks_of_earlier_events = int(block.counts("tracks")[: part.begin].sum())
            columns["track"] = columns["track"] + np.int64(tracks_before - tracks_of_earlier_events)
        columns[EVENT_ITEM] = np.repeat(event, counts[part.begin : part.end])
        chunk[collection] = columns
        chunk[EVENTS_COLLECTION][f"{collection}_count"] = counts[part.begin : part.end]
    return chunk


def _offsets(counts: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Return the row at which each group begins, and the end of the last one."""
    return np.concatenate([[0], np.cumsum(counts)])
