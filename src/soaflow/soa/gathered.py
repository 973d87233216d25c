"""One file that shows the predictions of all shards, without a copy of a value.

A gathered file is a predictions file whose datasets are virtual: h5py, h5dump and `soaflow compare` read it
by its one name, and `soaflow repack` makes a file of its own of it. It cannot be mapped.

The invariant: the shards are those of one run, one after another, and a shard that is missing or has become
another is an error of every reader here, never a row of fill values.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py

from soaflow.errors import StorageError
from soaflow.files import replacing
from soaflow.soa.arrangement import PREDICTIONS, describe
from soaflow.soa.header import Description, FileHeader, checked_dataset, opened, read_description, read_header
from soaflow.soa.layout import ItemKind, Placement
from soaflow.soa.virtual import Piece, make_virtual

_SHARDS = "shards"
_OF_A_SHARD = ("shard", "events_sha256")
"""Attributes in which the shards of a run differ."""


@dataclass(frozen=True, slots=True)
class GatheredShard:
    """One shard of a gathered file.

    Parameters
    ----------
    shard, events_sha256
        Its name, and the digest of the events that it was made from, as it says; empty where it does not.
    file
        From the folder of the gathered file.
    rows
        That it has.
    description_sha256
        Of all that the shard says of itself; see `FileHeader.description_sha256`.
    """

    shard: str
    events_sha256: str
    file: str
    rows: int
    description_sha256: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a gathered file shows.

    Parameters
    ----------
    description
        As of a predictions file with all rows.
    shards
        In the order of their rows.
    """

    description: Description
    shards: tuple[GatheredShard, ...]


def gather(shards: Sequence[Path | str], path: Path | str) -> None:
    """Write a file that shows the predictions of all shards.

    Parameters
    ----------
    shards
        Predictions files of one model, variant and dataset, in the order of their rows.
    path
        The file to make. The shards may be moved with it, and not without it.

    Raises
    ------
    StorageError
        If there are no shards, one is not sound or is there twice, they are of different runs, or they have a
        scalar, which has no rows.
    OutputError
        If the file cannot be written.
    """
    path = Path(path)
    headers = [read_header(shard, PREDICTIONS) for shard in shards]
    if not headers:
        raise StorageError(f"there are no shards to gather into {path}: name some")
    _check_one_run(headers)
    told = [_told(header, path.parent) for header in headers]
    attributes = {key: value for key, value in headers[0].attributes.items() if key not in _OF_A_SHARD}
    attributes[_SHARDS] = json.dumps([asdict(shard) for shard in told])
    placements = {name: _with_all_rows(name, headers) for name in headers[0].collections}
    with (
        replacing(path) as temporary,
        h5py.File(temporary, "x", libver=("v110", "v110"), locking="best-effort") as file,
    ):
        describe(file, PREDICTIONS, placements, attributes)
        for name, placement in placements.items():
            pieces = [
                Piece(shard.file, header.collections[name].placement)
                for shard, header in zip(told, headers, strict=True)
            ]
            for item in placement.layout.items:
                make_virtual(file[name], name, item, placement, pieces)


def read_gathered(path: Path | str) -> Gathered | None:
    """Read what a file shows of its shards; None if it is a predictions or events file of its own.

    Raises
    ------
    StorageError
        If it is not soaflow's file, or a shard is missing or has become another.
    """
    path = Path(path)
    with opened(path) as file:
        description = read_description(path, file)
        if _SHARDS not in description.attributes:
            return None
        try:
            entries = json.loads(str(description.attributes.pop(_SHARDS)))
            shards = tuple(GatheredShard(**entry) for entry in entries)
        except (TypeError, ValueError) as error:
            raise StorageError(f"{path}: its list of shards is damaged: gather the shards again") from error
        for name, placement in description.placements.items():
            for item in placement.layout.items:
                checked_dataset(path, file[name], name, item, placement)
    for shard in shards:
        if read_header(path.parent / shard.file).description_sha256() != shard.description_sha256:
            raise StorageError(
                f"{path.parent / shard.file} is another than {path} was made of: gather the shards again"
            )
    return Gathered(description, shards)


def _told(header: FileHeader, folder: Path) -> GatheredShard:
    said = {key: str(header.attributes.get(key, "")) for key in _OF_A_SHARD}
    file = Path(os.path.relpath(header.path, folder)).as_posix()
    rows = sum(stored.placement.rows for stored in header.collections.values())
    return GatheredShard(**said, file=file, rows=rows, description_sha256=header.description_sha256())


def _check_one_run(headers: Sequence[FileHeader]) -> None:
    first, seen = headers[0], set[Path]()
    for header in headers:
        if header.path.resolve() in seen:
            raise StorageError(f"{header.path} is named twice: name each shard once")
        seen.add(header.path.resolve())
        for key in sorted((set(first.attributes) | set(header.attributes)) - set(_OF_A_SHARD)):
            if first.attributes.get(key) != header.attributes.get(key):
                raise StorageError(
                    f"{header.path} is of another {key} than {first.path}: gather the shards of one run"
                )
        layouts = [
            {name: stored.placement.layout for name, stored in one.collections.items()}
            for one in (first, header)
        ]
        if layouts[0] != layouts[1]:
            raise StorageError(
                f"{header.path} has other items than {first.path}: gather the shards of one run"
            )


def _with_all_rows(name: str, headers: Sequence[FileHeader]) -> Placement:
    layout = headers[0].collections[name].placement.layout
    if scalars := [item.name for item in layout.items if item.kind is ItemKind.SCALAR]:
        raise StorageError(
            f"{headers[0].path} has the scalar '{scalars[0]}', one value a shard, which rows cannot show: "
            "declare it as a column"
        )
    return layout.place(sum(header.collections[name].placement.rows for header in headers))
