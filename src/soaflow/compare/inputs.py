"""The inputs of the worst rows, read from the events file.

The invariant: the file is mapped, and only the rows asked for are read.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from soaflow.compare.figures import Differences
from soaflow.compare.places import InputValue
from soaflow.errors import StorageError
from soaflow.soa.storage import EVENTS, MappedBlob, map_blob, read_header


def with_inputs(
    found: Sequence[Differences], events: Path | str, items: Mapping[str, Sequence[str]]
) -> tuple[Differences, ...]:
    """Return the figures of one shard's outputs, each worst row with its inputs.

    Parameters
    ----------
    found
        One for each output.
    events
        The events file of the shard.
    items
        Names of items for each collection, which must have the rows of the outputs.

    Raises
    ------
    StorageError
        If the file is not a sound events file, lacks a collection or has fewer rows in one.
    LayoutError
        If an item is not in its collection.
    """
    header = read_header(events, EVENTS)
    blobs = {name: map_blob(header, name) for name in items}
    for name, blob in blobs.items():
        if any(blob.placement.rows < figures.rows for figures in found):
            raise StorageError(
                f"{events} has {blob.placement.rows} rows of '{name}' and the predictions have "
                f"{max(figures.rows for figures in found)}: give the events that they were made from"
            )
    return tuple(
        dataclasses.replace(
            figures,
            worst=tuple(
                dataclasses.replace(row, inputs=_inputs_of(blobs, items, row.row)) for row in figures.worst
            ),
        )
        for figures in found
    )


def _inputs_of(
    blobs: Mapping[str, MappedBlob], items: Mapping[str, Sequence[str]], row: int
) -> tuple[InputValue, ...]:
    return tuple(
        InputValue(
            f"{collection}/{name}", tuple(str(value) for value in _values(blobs[collection], name, row))
        )
        for collection, names in items.items()
        for name in names
    )


def _values(blob: MappedBlob, name: str, row: int) -> list[object]:
    array = blob.array(name)
    return list((array[row] if array.ndim else array).reshape(-1).tolist())
