"""What an events or predictions file holds, read without its data.

The invariant: `read_header` returns only when every dataset lies where its layout says, so whoever
has a header can map the blobs. All that can be wrong with a file is found here, as a `StorageError`.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from soaflow.errors import StorageError
from soaflow.soa.arrangement import (
    ATTRIBUTE_PREFIX,
    EVENTS,
    PREDICTIONS,
    SCHEMA_VERSION,
    Attribute,
    dataset_shape,
    stored_dtype,
)
from soaflow.soa.layout import Item, Layout, Placement
from soaflow.soa.virtual import check_virtual


@dataclass(frozen=True, slots=True)
class StoredCollection:
    """One collection of a file.

    Parameters
    ----------
    placement
        Layout, rows and offsets within the blob.
    file_offset
        Byte at which the blob starts in the file, a multiple of the alignment; 0 when the blob is empty.
    """

    placement: Placement
    file_offset: int


@dataclass(frozen=True, slots=True)
class FileHeader:
    """What a file holds, without its data.

    Parameters
    ----------
    path
        The file.
    kind
        `"events"` or `"predictions"`.
    attributes
        The file's own attributes, such as dataset, source and origin.
    collections
        By name, in the file's order.
    """

    path: Path
    kind: str
    attributes: dict[str, Attribute]
    collections: dict[str, StoredCollection]

    def collection(self, name: str) -> StoredCollection:
        """Return one collection.

        Raises
        ------
        StorageError
            If the file does not have it.
        """
        if name not in self.collections:
            raise StorageError(
                f"{self.path} has no collection '{name}': it has {', '.join(self.collections) or 'none'}"
            )
        return self.collections[name]

    def description_sha256(self) -> str:
        """Return the SHA-256 of all that the file says of itself: attributes, layouts and rows.

        Not of its data, which may be too large to read once more.
        """
        described = {
            "attributes": dict(self.attributes),
            "collections": {
                name: [stored.placement.rows, stored.placement.layout.digest()]
                for name, stored in self.collections.items()
            },
        }
        text = json.dumps(described, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Description:
    """What a file says of itself, wherever its datasets lie.

    Parameters
    ----------
    kind, attributes
        As in `FileHeader`.
    placements
        Layout and rows of each collection, in the file's order.
    """

    kind: str
    attributes: dict[str, Attribute]
    placements: dict[str, Placement]


def read_header(path: Path | str, kind: str | None = None) -> FileHeader:
    """Read what a file holds and check that each dataset lies where its layout says.

    Parameters
    ----------
    path
        The file.
    kind
        What it must be; any kind if None.

    Raises
    ------
    StorageError
        If the file is missing, empty, truncated, not HDF5, of another kind or schema version, or
        has been chunked, compressed or repacked by another tool.
    """
    path = Path(path)
    with opened(path) as file:
        description = read_description(path, file, kind)
        collections = {
            name: StoredCollection(placement, _checked_file_offset(path, file, name, placement))
            for name, placement in description.placements.items()
        }
        size = path.stat().st_size
    for name, stored in collections.items():
        # HDF5 itself refuses a file that ends before its last value, so only padding can be missing.
        if stored.file_offset + stored.placement.blob_bytes > size:
            raise StorageError(
                f"{path} has lost the padding after collection '{name}' to another tool: {_rewrite(path)}"
            )
    return FileHeader(path, description.kind, description.attributes, collections)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file to read; what HDF5 and h5py raise of its content becomes a `StorageError`."""
    try:
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from error
    if size == 0:
        raise StorageError(f"{path} is empty: write it again")
    try:
        file = h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        if "truncated" in str(error):
            raise StorageError(f"{path} is truncated: write it again") from error
        raise StorageError(f"{path} is not a readable HDF5 file: write it again") from error
    with file:
        yield file


@contextlib.contextmanager
def _damage_as_storage_error(what: str) -> Iterator[None]:
    try:
        yield
    except StorageError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise StorageError(f"{what} is damaged ({error}): write the file again") from error


def read_description(path: Path, file: h5py.File, kind: str | None = None) -> Description:
    """Read the attributes of an open file and of its collections.

    Parameters
    ----------
    path
        For messages.
    file
        As `opened` gives it.
    kind
        What it must be; any kind if None.

    Raises
    ------
    StorageError
        If the file is not soaflow's, of another kind or schema version, or its description is damaged.
    """
    with _damage_as_storage_error(f"{path}: the description"):
        attributes = {key: _plain(value) for key, value in file.attrs.items()}
        found = attributes.pop("soaflow", None)
        version = attributes.pop("schema_version", None)
        if found not in (EVENTS, PREDICTIONS):
            raise StorageError(
                f"{path} is an HDF5 file but not one of soaflow's: "
                "its attribute 'soaflow' is neither events nor predictions"
            )
        if kind is not None and found != kind:
            raise StorageError(f"{path} holds {found}, not {kind}: name a file of {kind}")
        if version != SCHEMA_VERSION:
            raise StorageError(
                f"{path} has schema version {version}, and this soaflow reads version {SCHEMA_VERSION}: "
                "write it again with this soaflow"
            )
        own = {
            key.removeprefix(ATTRIBUTE_PREFIX): value
            for key, value in attributes.items()
            if key.startswith(ATTRIBUTE_PREFIX)
        }
        names = sorted(file, key=lambda name: int(file[name].attrs["index"]))
    return Description(str(found), own, {name: _read_placement(path, name, file[name]) for name in names})


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value


def _read_placement(path: Path, name: str, group: h5py.Group) -> Placement:
    with _damage_as_storage_error(f"{path}: the description of collection '{name}'"):
        layout = Layout.from_mappings(json.loads(group.attrs["layout"]), int(group.attrs["alignment"]))
        placement = layout.place(int(group.attrs["rows"]))
        digest = _plain(group.attrs["layout_sha256"])
    if digest != layout.digest():
        raise StorageError(
            f"{path}: the layout of collection '{name}' does not match its SHA-256: write the file again"
        )
    return placement


def checked_dataset(
    path: Path, group: h5py.Group, collection: str, item: Item, placement: Placement
) -> h5py.h5d.DatasetID:
    """Open an item's dataset after a check of its shape and dtype, wherever its bytes lie.

    It opens the dataset through h5py's low-level interface, which takes a third of the time: a job
    opens every dataset of its file.

    Raises
    ------
    StorageError
        If it is not there, of another shape or dtype than its layout says, or shows rows of a file that is
        not there.
    """
    label = f"{path}: dataset '{collection}/{item.name}'"
    with _damage_as_storage_error(label):
        dataset = h5py.h5o.open(group.id, item.name.encode()) if item.name in group else None
        if not isinstance(dataset, h5py.h5d.DatasetID):
            raise StorageError(f"{label}, which its layout names, is not there: write the file again")
        shape, dtype = dataset_shape(item, placement), stored_dtype(item)
        if dataset.shape != shape:
            raise StorageError(
                f"{label} has shape {dataset.shape}, and its layout says {shape}: write it again"
            )
        if dataset.dtype != dtype:
            raise StorageError(
                f"{label} has dtype {dataset.dtype}, and its layout says {dtype}: write it again"
            )
        check_virtual(path, label, dataset)
    return dataset


def _checked_file_offset(path: Path, file: h5py.File, collection: str, placement: Placement) -> int:
    blob_start: int | None = None
    group = file[collection]
    group_here = _is_hard_link(file, collection)
    for item in placement.layout.items:
        dataset = checked_dataset(path, group, collection, item, placement)
        label = f"{path}: dataset '{collection}/{item.name}'"
        with _damage_as_storage_error(label):
            here = group_here and _is_hard_link(group, item.name)
            offset = _offset_in_file(label, path, dataset) if here else None
        if not placement.item_bytes(item.name):
            continue
        if offset is None:
            raise StorageError(f"{label} is not stored in one piece in the file: {_rewrite(path)}")
        start = offset - placement.offsets[item.name]
        blob_start = start if blob_start is None else blob_start
        if start != blob_start or start % placement.layout.alignment:
            raise StorageError(
                f"{label} was moved by another tool and is not at its layout's place: {_rewrite(path)}"
            )
    return blob_start or 0


def _is_hard_link(group: h5py.Group, name: str) -> bool:
    return bool(group.id.links.get_info(name.encode()).type == h5py.h5l.TYPE_HARD)


def _offset_in_file(label: str, path: Path, dataset: h5py.h5d.DatasetID) -> int | None:
    properties = dataset.get_create_plist()
    storage = properties.get_layout()
    if storage == h5py.h5d.CHUNKED:
        compression = h5py.Dataset(dataset).compression
        how = f"compressed ({compression})" if compression else "chunked"
        raise StorageError(f"{label} is {how} and cannot be mapped: {_rewrite(path)}")
    if storage != h5py.h5d.CONTIGUOUS or properties.get_external_count():
        return None
    offset: int | None = dataset.get_offset()
    return offset


def _rewrite(path: Path) -> str:
    return f"rewrite the file with 'soaflow repack {path} OUT'"
