"""How collections are arranged in an HDF5 file so that the file's bytes, in place, are their blobs.

One group a collection, one named dataset an item, all contiguous, unchunked, uncompressed and
aligned, so any HDF5 tool reads the items by name and a job maps the blob without reading it.
A column is a dataset of shape `(n,)`, a scalar one of shape `()`, an eigen vector `(R, S)` and an
eigen matrix `(C, R, S)`, with the rows padded to S as in the blob (see `soaflow.soa.layout`).

The invariant: all metadata lies in front of the data. Its block is made large enough at once, and
texts are attributes of fixed length, because HDF5 puts texts of variable length among the data.

>>> from soaflow.soa.layout import Item, ItemKind, Layout
>>> images = Layout.of(Item("r", "float32", ItemKind.EIGEN, (9, 9)), Item("number", "int64"))
>>> [dataset_shape(item, images.place(rows=3)) for item in images.items]
[(9, 9, 32), (3,)]
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from soaflow.errors import LayoutError
from soaflow.soa.layout import Item, ItemKind, Placement, is_identifier

SCHEMA_VERSION = 1
"""Version of the arrangement of groups, datasets and attributes described above."""

EVENTS = "events"
PREDICTIONS = "predictions"

Attribute = str | int | float
"""A value that a file's own attribute may have."""

ATTRIBUTE_PREFIX = "soaflow_"
"""Stands before the names of the file's own attributes, such as dataset and origin."""

_METADATA_BYTES = 1 << 16
_METADATA_BYTES_PER_COLLECTION = 1 << 12
_METADATA_BYTES_PER_ITEM = 1 << 11


def dataset_shape(item: Item, placement: Placement) -> tuple[int, ...]:
    """Return the shape of the dataset that holds an item: `()`, `(n,)`, `(R, S)` or `(C, R, S)`."""
    if item.kind is ItemKind.SCALAR:
        return ()
    if item.kind is ItemKind.COLUMN:
        return (placement.rows,)
    return (*reversed(item.shape), placement.stride(item.name))


def stored_dtype(item: Item) -> np.dtype[Any]:
    """Return the dtype of an item in the file: little-endian, as in the memory of every CMSSW machine."""
    return np.dtype(item.dtype).newbyteorder("<")


def make_file(
    path: Path, kind: str, placements: Mapping[str, Placement], attributes: Mapping[str, Attribute]
) -> int:
    """Make a file of zeros with every dataset in place and its disk space claimed.

    Parameters
    ----------
    path
        The file to make; it must not be there.
    kind
        `EVENTS` or `PREDICTIONS`.
    placements
        The collections by name, all of one alignment.
    attributes
        The file's own attributes.

    Returns
    -------
    int
        Bytes that the file must have: the end of the last blob, its padding included.

    Raises
    ------
    LayoutError
        If a collection's name is not an identifier, or the alignments differ.
    OSError
        If the operating system refuses the write.
    """
    _check_collections(placements)
    with h5py.File(
        path,
        "x",
        libver=("v108", "v110"),
        locking="best-effort",
        alignment_threshold=1,
        alignment_interval=max((p.layout.alignment for p in placements.values()), default=8),
        meta_block_size=_metadata_bytes(placements, attributes),
    ) as file:
        describe(file, kind, placements, attributes)
        ends = [
            _make_dataset(file[name], placement, item)
            for name, placement in placements.items()
            for item in placement.layout.items
        ]
    bytes_needed = max([path.stat().st_size, *ends])
    reserve(path, bytes_needed)
    return bytes_needed


def describe(
    file: h5py.File, kind: str, placements: Mapping[str, Placement], attributes: Mapping[str, Attribute]
) -> None:
    """Write all that a new file says of itself, and a group for each collection.

    Parameters
    ----------
    file
        Open for writing, empty.
    kind, placements, attributes
        As in `make_file`.
    """
    _set_text(file, "soaflow", kind)
    file.attrs["schema_version"] = SCHEMA_VERSION
    for key, value in sorted(attributes.items()):
        _set_attribute(file, f"{ATTRIBUTE_PREFIX}{key}", value)
    for index, (name, placement) in enumerate(placements.items()):
        group = file.create_group(name)
        group.attrs["index"] = index
        group.attrs["rows"] = placement.rows
        group.attrs["alignment"] = placement.layout.alignment
        _set_text(group, "layout", _layout_text(placement))
        _set_text(group, "layout_sha256", placement.layout.digest())


def label_dataset(dataset: h5py.Dataset, item: Item) -> None:
    """Write what a dataset says of itself."""
    _set_text(dataset, "kind", item.kind.value)
    _set_text(dataset, "unit", item.unit)


def reserve(path: Path, size: int) -> None:
    """Extend a file to a size and claim its disk space, so a full disk is an error now, not a fault later.

    HDF5 ends a file with the last value; the padding after it belongs to the blob.
    """
    with open(path, "r+b") as stream:
        os.posix_fallocate(stream.fileno(), 0, size)


def item_array(buffer: memoryview, placement: Placement, name: str) -> npt.NDArray[Any]:
    """Return an item of a blob as a NumPy view: `(n,)`, `(n, R)`, `(n, R, C)` or, for a scalar, `()`."""
    item = placement.layout[name]
    shape: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    if item.kind is not ItemKind.SCALAR:
        plane = placement.stride(name) * item.itemsize
        shape = (placement.rows, *item.shape)
        strides = (item.itemsize, *(plane, plane * item.block_rows)[: len(item.shape)])
    return np.ndarray(shape, stored_dtype(item), buffer, placement.offsets[name], strides)


def _layout_text(placement: Placement) -> str:
    return json.dumps(placement.layout.to_mappings())


def _check_collections(placements: Mapping[str, Placement]) -> None:
    for name in placements:
        if not is_identifier(name):
            raise LayoutError(f"collection name {name!r} is not an identifier: use letters, digits and _")
    alignments = {name: placement.layout.alignment for name, placement in placements.items()}
    if len(set(alignments.values())) > 1:
        listed = ", ".join(f"{name} {alignment}" for name, alignment in alignments.items())
        raise LayoutError(f"collections of one file need one alignment, and these have {listed}")


def _metadata_bytes(placements: Mapping[str, Placement], attributes: Mapping[str, Attribute]) -> int:
    items = [item for placement in placements.values() for item in placement.layout.items]
    texts = [*map(_layout_text, placements.values()), *(str(value) for value in attributes.values())]
    # A text is counted twice: HDF5 may move an object's header when it grows and leave the old place empty.
    return (
        _METADATA_BYTES
        + _METADATA_BYTES_PER_COLLECTION * len(placements)
        + sum(_METADATA_BYTES_PER_ITEM + 2 * len(item.unit.encode()) for item in items)
        + sum(2 * len(text.encode()) for text in texts)
    )


def _make_dataset(group: h5py.Group, placement: Placement, item: Item) -> int:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)
    shape = dataset_shape(item, placement)
    space = h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)
    stored_type = h5py.h5t.py_create(stored_dtype(item), logical=True)
    dataset = h5py.Dataset(h5py.h5d.create(group.id, item.name.encode(), stored_type, space, properties))
    label_dataset(dataset, item)
    offset = dataset.id.get_offset()
    return 0 if offset is None else offset + placement.item_bytes(item.name)


def _set_attribute(owner: h5py.HLObject, key: str, value: Attribute) -> None:
    if isinstance(value, str):
        _set_text(owner, key, value)
    else:
        owner.attrs[key] = value


def _set_text(owner: h5py.HLObject, key: str, text: str) -> None:
    encoded = text.encode()
    owner.attrs.create(key, encoded, dtype=h5py.string_dtype("utf-8", max(len(encoded), 1)))
