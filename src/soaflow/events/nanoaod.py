"""Reads jagged branches of NanoAOD files into flat collections.

The files of a dataset are one sequence of entries, which the shards share evenly. A first pass reads
the branches of the selection to count the rows, so that the file can be laid out; a second one
reads all branches. Both go a chunk of entries at a time.

The invariant: row by row, the collections hold the selected elements in the order of the files, and
the item `event` is the row of their entry in the collection `events`. A tree without NanoAOD's `run`
or `luminosityBlock` gives 0 for it, one without `event` the number of the entry in the dataset.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from soaflow.errors import EventSourceError
from soaflow.events.branches import BranchItem, NanoaodCollection
from soaflow.events.casting import cast, check_castable
from soaflow.events.datasets import EVENT_IDENTITY, MOST_ROWS_POINTED_TO, NanoaodDataset
from soaflow.events.plan import Chunk, Columns, ShardPlan, shard_range
from soaflow.events.root_files import BranchValues, Tree, Trees
from soaflow.soa.layout import EVENT_ITEM, EVENTS_COLLECTION
from soaflow.soa.storage import Attribute


@dataclass(frozen=True, slots=True)
class _Part:
    """Consecutive entries of one file.

    Parameters
    ----------
    path
        The file.
    start, stop
        First entry of the file and the one after the last.
    first_event
        Number of the first of these entries in the dataset.
    """

    path: str
    start: int
    stop: int
    first_event: int


@contextlib.contextmanager
def planned_nanoaod(dataset: NanoaodDataset, shard: int) -> Iterator[ShardPlan]:
    """Plan one shard of ROOT files, and keep them open for its chunks.

    Parameters
    ----------
    dataset
        What to read.
    shard
        From 0 to `dataset.shards - 1`.

    Raises
    ------
    EventSourceError
        If a file, tree or branch is missing or damaged, a branch is not of the kind its item needs,
        branches of one collection differ in length, an index is out of range, or a value does not
        fit its item's dtype.
    """
    with Trees(dataset.tree) as trees:
        entries = [trees.entries(path) for path in dataset.files]
        events = shard_range(sum(entries), dataset.shards, shard)
        if len(events) > MOST_ROWS_POINTED_TO:
            raise EventSourceError(
                f"dataset '{dataset.name}' has {len(events)} events in a shard, "
                f"more than {MOST_ROWS_POINTED_TO}: give more shards"
            )
        parts = _parts(dataset.files, entries, events)
        identity = frozenset(EVENT_IDENTITY)
        for path in dict.fromkeys(part.path for part in parts) or dataset.files[:1]:
            _check_collections(dataset, trees.open(path))
            identity &= _identity_items(trees.open(path))
        rows = {EVENTS_COLLECTION: len(events)} | _count_rows(dataset, trees, parts)
        yield ShardPlan(
            placements={name: layout.place(rows[name]) for name, layout in dataset.layouts().items()},
            attributes=_attributes(dataset, shard, events, identity),
            scalars={},
            chunks=_chunks(dataset, trees, parts),
        )


def _parts(files: Sequence[str], entries: Sequence[int], events: range) -> list[_Part]:
    """Find the entries of each file that make up a range of events."""
    parts = []
    first = 0
    for path, count in zip(files, entries, strict=True):
        start, stop = max(events.start - first, 0), min(events.stop - first, count)
        if start < stop:
            parts.append(_Part(path, start, stop, first + start))
        first += count
    return parts


def _attributes(
    dataset: NanoaodDataset, shard: int, events: range, identity: frozenset[str]
) -> dict[str, Attribute]:
    branches: dict[str, dict[str, Any]] = {
        EVENTS_COLLECTION: {name: branch for name, (branch, _) in EVENT_IDENTITY.items() if name in identity}
    }
    selection = {}
    for collection in dataset.collections:
        branches[collection.name] = {member.item.name: _described(member) for member in collection.items}
        selection[collection.name] = [
            {"item": cut.item, "minimum": cut.minimum, "maximum": cut.maximum} for cut in collection.selection
        ]
    return {
        "dataset": dataset.name,
        "source": dataset.source,
        "origin": dataset.origin,
        "files": json.dumps([PurePath(path).name for path in dataset.files]),
        "tree": dataset.tree,
        "branches": json.dumps(branches),
        "selection": json.dumps(selection),
        "shard": shard,
        "shards": dataset.shards,
        "first_event": events.start,
        "events": len(events),
    }


def _described(member: BranchItem) -> str | dict[str, str | float | None]:
    if not member.index:
        return member.branch
    return {"branch": member.branch, "index": member.index, "missing": member.missing}


def _identity_items(tree: Tree) -> frozenset[str]:
    """Return which of an event's three numbers a tree has, and check their branches."""
    present = set()
    for name, (branch, item) in EVENT_IDENTITY.items():
        if branch in tree:
            found, label = tree.branch_type(branch), _label(tree.path, branch)
            if found.jagged:
                raise EventSourceError(f"{label} has a list in each entry: soaflow needs one number")
            check_castable(found.dtype, item.dtype, label)
            present.add(name)
    return frozenset(present)


def _check_collections(dataset: NanoaodDataset, tree: Tree) -> None:
    """Check what can be known of the configured branches without reading them."""
    for collection in dataset.collections:
        for member in collection.items:
            for branch in filter(None, (member.branch, member.index)):
                if not tree.branch_type(branch).jagged:
                    raise EventSourceError(
                        f"{_label(tree.path, branch)} has one number in each entry and cannot fill "
                        f"collection '{collection.name}': name a branch with a list in each entry"
                    )
            label = _label(tree.path, member.branch)
            check_castable(tree.branch_type(member.branch).dtype, member.item.dtype, label)
            if member.index and tree.branch_type(member.index).dtype.kind not in "iu":
                raise EventSourceError(
                    f"{_label(tree.path, member.index)} is an index and not of integers: name another branch"
                )


def _count_rows(dataset: NanoaodDataset, trees: Trees, parts: Sequence[_Part]) -> dict[str, int]:
    """Count the selected rows of each collection, reading no more branches than that takes."""
    rows = dict.fromkeys((collection.name for collection in dataset.collections), 0)
    needed: dict[str, list[BranchItem]] = {}
    for collection in dataset.collections:
        cut_items = dict.fromkeys(cut.item for cut in collection.selection)
        needed[collection.name] = [collection.item(name) for name in cut_items] or [collection.items[0]]
    branches = {branch for members in needed.values() for member in members for branch in _branches(member)}
    for part in parts:
        for _, values in trees.open(part.path).chunks(branches, part.start, part.stop):
            for collection in dataset.collections:
                members = needed[collection.name]
                columns = {
                    member.item.name: _column(part.path, collection, member, values) for member in members
                }
                _check_counts(part.path, collection.name, members, values)
                selected = _selected(collection, columns)
                rows[collection.name] += int(np.count_nonzero(selected))
    return rows


def _chunks(dataset: NanoaodDataset, trees: Trees, parts: Sequence[_Part]) -> Iterator[Chunk]:
    members = [member for collection in dataset.collections for member in collection.items]
    events_before = 0
    for part in parts:
        tree = trees.open(part.path)
        identity = [branch for branch, _ in EVENT_IDENTITY.values() if branch in tree]
        branches = {branch for member in members for branch in _branches(member)} | set(identity)
        for entries, values in tree.chunks(branches, part.start, part.stop):
            first_event = part.first_event + entries.start - part.start
            chunk = {EVENTS_COLLECTION: _identity(part.path, values, first_event, len(entries))}
            for collection in dataset.collections:
                columns = _flattened(part.path, collection, values, events_before)
                kept = columns[EVENT_ITEM] - events_before
                counts = np.bincount(kept, minlength=len(entries))
                chunk[EVENTS_COLLECTION][f"{collection.name}_count"] = counts
                chunk[collection.name] = columns
            yield chunk
            events_before += len(entries)


def _branches(member: BranchItem) -> list[str]:
    return [member.branch, member.index] if member.index else [member.branch]


def _identity(path: str, values: Mapping[str, BranchValues], first_event: int, entries: int) -> Columns:
    columns: Columns = {}
    for name, (branch, item) in EVENT_IDENTITY.items():
        if branch in values:
            columns[name] = cast(values[branch].values, item.dtype, _label(path, branch))
        elif name == "event":
            columns[name] = np.arange(first_event, first_event + entries, dtype=item.dtype)
        else:
            columns[name] = np.zeros(entries, dtype=item.dtype)
    return columns


def _flattened(
    path: str, collection: NanoaodCollection, values: Mapping[str, BranchValues], events_before: int
) -> Columns:
    """Return the selected rows of a collection in one chunk."""
    _check_counts(path, collection.name, collection.items, values)
    columns = {member.item.name: _column(path, collection, member, values) for member in collection.items}
    counts = values[collection.items[0].row_branch].counts
    first = np.int32(events_before)
    columns[EVENT_ITEM] = np.repeat(np.arange(len(counts), dtype=np.int32) + first, counts)
    selected = _selected(collection, columns)
    return {name: column[selected] for name, column in columns.items()}


def _check_counts(
    path: str, collection: str, members: Sequence[BranchItem], values: Mapping[str, BranchValues]
) -> None:
    first = members[0].row_branch
    for member in members[1:]:
        if not np.array_equal(values[member.row_branch].counts, values[first].counts):
            raise EventSourceError(
                f"{path}: branches '{first}' and '{member.row_branch}' of collection '{collection}' differ "
                "in length: make them two collections or give an index branch"
            )


def _column(
    path: str, collection: NanoaodCollection, member: BranchItem, values: Mapping[str, BranchValues]
) -> npt.NDArray[Any]:
    """Return all rows of an item in one chunk."""
    label = _label(path, member.branch)
    source = values[member.branch]
    if not member.index:
        return cast(source.values, member.item.dtype, label)
    index = values[member.index]
    lengths = np.repeat(source.counts, index.counts)
    beyond = index.values >= lengths
    if beyond.any():
        raise EventSourceError(
            f"{_label(path, member.index)} of collection '{collection.name}' has the index "
            f"{index.values[beyond][0]}, and '{member.branch}' has {lengths[beyond][0]} values in that "
            "entry: name the branch it belongs to"
        )
    begins = np.repeat(np.cumsum(source.counts) - source.counts, index.counts)
    present = index.values >= 0
    column = np.full(len(index.values), member.missing, dtype=member.item.dtype)
    positions = begins[present] + index.values[present].astype(np.int64)
    column[present] = cast(source.values[positions], member.item.dtype, label)
    return column


def _selected(
    collection: NanoaodCollection, columns: Mapping[str, npt.NDArray[Any]]
) -> npt.NDArray[np.bool_]:
    selected = np.ones(len(next(iter(columns.values()))), dtype=np.bool_)
    for cut in collection.selection:
        if cut.minimum is not None:
            selected &= columns[cut.item] >= cut.minimum
        if cut.maximum is not None:
            selected &= columns[cut.item] <= cut.maximum
    return selected


def _label(path: str, branch: str) -> str:
    return f"{path}: branch '{branch}'"
