"""Digests of the rows of a dataset, however many shards they are spread over.

The invariant: the digests depend on the values alone, in the order of the rows, and not on the number of
files, their padding or their attributes; no more than a chunk of rows is looked at at a time.

An item that numbers rows of another collection of its own file, such as the event of a particle, is taken as
numbering the rows of all shards.
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from soaflow.errors import StorageError
from soaflow.soa.layout import EVENT_ITEM, EVENTS_COLLECTION, ItemKind
from soaflow.soa.storage import FileHeader, map_blob, read_header

ROWS_PER_CHUNK = 1 << 18


class JoinedRows:
    """The rows of all shards, one shard after the other, read by slices.

    Parameters
    ----------
    parts
        Of each shard, rows first.

    Examples
    --------
    >>> rows = JoinedRows([np.array([1, 2]), np.array([], int), np.array([3])])
    >>> rows.shape, rows[1:3].tolist(), rows[5:].tolist()
    ((3,), [2, 3], [])
    """

    def __init__(self, parts: Sequence[npt.NDArray[Any]]) -> None:
        self._parts = parts
        self._ends = list(accumulate(map(len, parts)))
        self.shape = (self._ends[-1], *parts[0].shape[1:])
        self.dtype = parts[0].dtype

    def __getitem__(self, rows: slice, /) -> npt.NDArray[Any]:
        begin, end, _ = rows.indices(self.shape[0])
        return np.concatenate(
            [
                part[max(begin - stop + len(part), 0) : max(end - stop + len(part), 0)]
                for part, stop in zip(self._parts, self._ends, strict=True)
            ]
        )


def joined_rows(shards: Sequence[Path | str], kind: str, collection: str, item: str) -> JoinedRows:
    """Return the rows of an item over all shards of a dataset, mapped and not read.

    Raises
    ------
    StorageError
        If a file is not of that kind or lacks the collection.
    """
    return JoinedRows([map_blob(read_header(path, kind), collection).array(item) for path in shards])


_NUMBERED = {EVENT_ITEM: EVENTS_COLLECTION, "track": "tracks"}
"""The collection that an item of this name, in any other collection, numbers the rows of."""


def row_digests(shards: Sequence[Path | str], kind: str) -> dict[str, str]:
    """Return the SHA-256 (hex) of the values of every item, by `collection/item`.

    Parameters
    ----------
    shards
        Files of one dataset, in their order.
    kind
        `soaflow.soa.storage.EVENTS` or `PREDICTIONS`.

    Raises
    ------
    StorageError
        If a file is not of that kind, or the files have other collections, items or scalars than the first.
    """
    headers = [read_header(path, kind) for path in shards]
    names = _names(headers[0])
    for header in headers[1:]:
        if _names(header) != names:
            raise StorageError(f"{header.path} has other items than {headers[0].path}: make the shards again")
    return {
        f"{collection}/{item}": _digest(headers, collection, item)
        for collection, items in names.items()
        for item in items
    }


def _names(header: FileHeader) -> Mapping[str, tuple[str, ...]]:
    return {name: stored.placement.layout.names for name, stored in header.collections.items()}


def _digest(headers: Sequence[FileHeader], collection: str, name: str) -> str:
    item = headers[0].collection(collection).placement.layout[name]
    digest = hashlib.sha256(f"{item.dtype} {item.kind.value} {item.shape}".encode())
    if item.kind is ItemKind.SCALAR:
        values = {map_blob(header, collection).array(name).tobytes() for header in headers}
        if len(values) > 1:
            raise StorageError(
                f"the shards have several values of scalar {collection}/{name}: make them again"
            )
        digest.update(b"".join(values))
        return digest.hexdigest()
    numbered = None if collection == EVENTS_COLLECTION else _NUMBERED.get(name)
    before = 0
    for header in headers:
        rows = map_blob(header, collection).array(name)
        for begin in range(0, len(rows), ROWS_PER_CHUNK):
            chunk = rows[begin : begin + ROWS_PER_CHUNK]
            digest.update((chunk if numbered is None else chunk.astype(np.int64) + before).tobytes())
        if numbered in header.collections:
            before += header.collection(numbered).placement.rows
    return digest.hexdigest()
