"""Rewrite of a file that another HDF5 tool has chunked, compressed or moved.

The invariant: the new file holds the same values under the same names, with every byte in the place
that its layout says, and equals byte for byte the file as soaflow would have written it.
"""

from pathlib import Path

import h5py

from soaflow.inputs import reading
from soaflow.soa.header import checked_dataset, opened, read_description
from soaflow.soa.layout import Item, ItemKind, Placement
from soaflow.soa.storage import CollectionWriter, writing

_ROWS_PER_COPY = 1 << 16


def repack(source: Path | str, destination: Path | str) -> None:
    """Rewrite a file that another tool has chunked, compressed or moved, so that it can be mapped.

    Memory is bounded by a chunk of rows of one item.

    Parameters
    ----------
    source
        An events or predictions file that h5py can read by name.
    destination
        The file to make; it may be `source`.

    Raises
    ------
    StorageError
        If `source` is not a soaflow file or lacks a dataset of its layouts.
    OutputError
        If `destination` cannot be written.
    """
    source = Path(source)
    with reading([source]), opened(source) as file:
        description = read_description(source, file)
        items = [
            (collection, placement, item)
            for collection, placement in description.placements.items()
            for item in placement.layout.items
        ]
        for collection, placement, item in items:
            checked_dataset(source, file[collection], collection, item, placement)
        with writing(destination, description.kind, description.placements, description.attributes) as writer:
            for collection, placement, item in items:
                _copy_item(file[collection][item.name], writer, collection, placement, item)


def _copy_item(
    dataset: h5py.Dataset,
    writer: CollectionWriter,
    collection: str,
    placement: Placement,
    item: Item,
) -> None:
    if item.kind is ItemKind.SCALAR:
        writer.write(collection, item.name, dataset[()])
        return
    for start in range(0, placement.rows, _ROWS_PER_COPY):
        stop = min(start + _ROWS_PER_COPY, placement.rows)
        writer.write(collection, item.name, dataset[..., start:stop].T, start)
