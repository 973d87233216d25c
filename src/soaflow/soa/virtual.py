"""Datasets whose rows lie in other files: HDF5's virtual datasets.

HDF5 gives fill values for rows whose file is not there, and says nothing. The invariant: `check_virtual`
returns only for a dataset whose every file is there and has the rows that are shown. Files are named from the
folder of the file that shows them, so all of them can be moved together.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from soaflow.errors import StorageError
from soaflow.soa.arrangement import dataset_shape, label_dataset, stored_dtype
from soaflow.soa.layout import Item, Placement

_THE_FILE_ITSELF = "."
"""How HDF5 names it as a source."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a dataset, one file after another.

    Parameters
    ----------
    file
        From the folder of the file that shows them, with `/` between folders.
    placement
        Of the collection in that file.
    """

    file: str
    placement: Placement


def make_virtual(
    group: h5py.Group, collection: str, item: Item, placement: Placement, pieces: Sequence[Piece]
) -> None:
    """Make a dataset that shows an item's rows in other files, in their order.

    Parameters
    ----------
    group
        Of the collection.
    collection
        Its name, here and in the other files.
    item
        A column or an eigen item.
    placement
        Of the collection with all rows.
    pieces
        Where they are.
    """
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    if item.floating:  # whoever reads without a check is to see what is missing
        properties.set_fill_value(np.array(np.nan, stored_dtype(item)))
    shape = dataset_shape(item, placement)
    space = h5py.h5s.create_simple(shape)
    begin = 0
    for piece in pieces:
        if not piece.placement.rows:
            continue
        extent = dataset_shape(item, piece.placement)
        source = h5py.h5s.create_simple(extent)
        block = (*extent[:-1], piece.placement.rows)
        source.select_hyperslab((0,) * len(block), block)
        space.select_hyperslab((*(0 for _ in block[:-1]), begin), block)
        name = piece.file.replace("%", "%%")  # HDF5 puts numbers of blocks where a single one stands
        properties.set_virtual(space, name.encode(), f"/{collection}/{item.name}".encode(), source)
        begin += piece.placement.rows
    space.select_all()
    stored_type = h5py.h5t.py_create(stored_dtype(item), logical=True)
    identifier = h5py.h5d.create(group.id, item.name.encode(), stored_type, space, properties)
    label_dataset(h5py.Dataset(identifier), item)


def check_virtual(path: Path, label: str, dataset: h5py.h5d.DatasetID) -> None:
    """Check that the rows of a virtual dataset are there; any other dataset is left alone.

    Parameters
    ----------
    path
        Of the file that shows them.
    label
        Of the dataset, for messages.
    dataset
        Open.

    Raises
    ------
    StorageError
        If a file is missing or unreadable, or lacks the dataset with the rows and the dtype that it had.
    """
    properties = dataset.get_create_plist()
    if properties.get_layout() != h5py.h5d.VIRTUAL:
        return
    for index in range(properties.get_virtual_count()):
        name = os.fsdecode(properties.get_virtual_filename(index)).replace("%%", "%")
        source = path if name == _THE_FILE_ITSELF else path.parent / name
        expected = properties.get_virtual_srcspace(index).shape
        try:
            with h5py.File(source, "r", locking="best-effort") as file:
                found = file.get(properties.get_virtual_dsetname(index))
                sound = (
                    isinstance(found, h5py.Dataset)
                    and found.dtype == dataset.dtype
                    and _has_rows(found.shape, expected)
                )
        except OSError as error:
            raise StorageError(
                f"{label} shows rows of {source}, which is not there or cannot be read: make "
                "that file, or move all files together"
            ) from error
        if not sound:
            raise StorageError(
                f"{label} shows rows of {source}, which has become another: gather the shards again"
            )


def _has_rows(found: tuple[int, ...], shown: tuple[int, ...]) -> bool:
    """Tell whether a dataset has just the rows shown; planes of an eigen item are longer, padded.

    HDF5 knows no shape of a source that another tool has taken whole.
    """
    if not shown:
        return True
    if len(shown) == 1:
        return found == shown
    return found[:-1] == shown[:-1] and found[-1] >= shown[-1]
