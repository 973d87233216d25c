"""Events and predictions files: write them, read what they hold, map their blobs.

The file's arrangement is in `soaflow.soa.arrangement`, reading in `soaflow.soa.header`, mapping in
`soaflow.soa.mapping`; this module writes and is the one to import from.

The invariant: a file appears at its path whole, after `read_header` has accepted it, or not at all.

>>> import tempfile
>>> from soaflow.soa.layout import Item, Layout
>>> particles = Layout.of(Item("pt", "float32"), Item("charge", "int8")).place(rows=3)
>>> with tempfile.TemporaryDirectory() as folder:
...     with writing(f"{folder}/a.h5", EVENTS, {"particles": particles}, {"dataset": "toy"}) as writer:
...         writer.write("particles", "pt", [25.0, 30.5, 12.25])
...     map_blob(read_header(f"{folder}/a.h5"), "particles").array("pt").tolist()
[25.0, 30.5, 12.25]
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from soaflow.files import replacing
from soaflow.soa.arrangement import EVENTS, PREDICTIONS, SCHEMA_VERSION, Attribute, make_file, reserve
from soaflow.soa.header import FileHeader, StoredCollection, read_header
from soaflow.soa.layout import ItemKind, Placement
from soaflow.soa.mapping import MappedBlob, map_blob

__all__ = [
    "EVENTS",
    "PREDICTIONS",
    "SCHEMA_VERSION",
    "Attribute",
    "CollectionWriter",
    "FileHeader",
    "MappedBlob",
    "StoredCollection",
    "map_blob",
    "mapping_new",
    "read_header",
    "writing",
]


class CollectionWriter:
    """Writes items of a new file, a range of rows at a time.

    Parameters
    ----------
    file
        Open for writing, with every dataset in place.
    placements
        The collections by name.
    """

    def __init__(self, file: h5py.File, placements: Mapping[str, Placement]) -> None:
        self._file = file
        self._placements = placements

    def write(self, collection: str, name: str, values: npt.ArrayLike, start: int = 0) -> None:
        """Write values to rows `start` to `start + len(values)` of an item.

        Parameters
        ----------
        collection, name
            The item; values are cast to its dtype, floating-point ones rounded.
        values
            `(b,)` for a column, `(b, R)` or `(b, R, C)` for an eigen item, `()` for a scalar.
        start
            First row.

        Raises
        ------
        ValueError
            If the values do not fit the item, its dtype or its rows.
        LayoutError
            If the item is not in the layout.
        """
        placement = self._placements[collection]
        item = placement.layout[name]
        array = np.asarray(values)
        scalar = item.kind is ItemKind.SCALAR
        if scalar:
            fits = array.shape == () and start == 0
        else:
            fits = array.ndim > 0 and array.shape[1:] == item.shape
            fits = fits and 0 <= start <= start + len(array) <= placement.rows
        if not fits:
            raise ValueError(
                f"values of shape {array.shape} from row {start} do not fit {item.kind} item "
                f"'{collection}/{name}' of {placement.rows} rows of shape {item.shape}"
            )
        array = _cast(array, f"{collection}/{name}", item.dtype)
        dataset = self._file[collection][name]
        if scalar:
            dataset[()] = array
        elif len(array):
            dataset[..., start : start + len(array)] = array.T


def _cast(array: npt.NDArray[Any], name: str, to: str) -> npt.NDArray[Any]:
    """Cast to an item's dtype what that dtype can hold: NumPy would wrap an integer and cut a fraction."""
    dtype = np.dtype(to)
    if array.size and dtype.kind in "iub" and not np.can_cast(array.dtype, dtype):
        if array.dtype.kind not in "iub":
            raise ValueError(f"{array.dtype.name} values do not fit item '{name}' of {to}")
        lowest, highest = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        for value in (int(array.min()), int(array.max())):
            if not lowest <= value <= highest:
                raise ValueError(f"the value {value} does not fit item '{name}' of {to}")
    return array.astype(dtype, copy=False)


@contextlib.contextmanager
def writing(
    path: Path | str,
    kind: str,
    placements: Mapping[str, Placement],
    attributes: Mapping[str, Attribute],
) -> Iterator[CollectionWriter]:
    """Make a file of zeros with all its collections in place, and give its writer.

    The disk space is reserved first, so a full disk is an error here and not a fault later. The
    file appears at `path` when the block has succeeded.

    Parameters
    ----------
    path
        The file to make.
    kind
        `EVENTS` or `PREDICTIONS`.
    placements
        The collections by name, all of one alignment.
    attributes
        The file's own attributes.

    Raises
    ------
    OutputError
        If the file cannot be written.
    LayoutError
        If a collection's name is not an identifier, or the alignments differ.
    """
    with replacing(path) as temporary:
        size = make_file(temporary, kind, placements, attributes)
        with h5py.File(temporary, "r+", locking="best-effort") as file:
            yield CollectionWriter(file, placements)
        reserve(temporary, size)
        read_header(temporary, kind)


@contextlib.contextmanager
def mapping_new(
    path: Path | str,
    kind: str,
    placements: Mapping[str, Placement],
    attributes: Mapping[str, Attribute],
) -> Iterator[dict[str, MappedBlob]]:
    """Make a file of zeros as `writing` does, and give its blobs mapped for writing through views."""
    with replacing(path) as temporary:
        make_file(temporary, kind, placements, attributes)
        header = read_header(temporary, kind)
        yield {name: map_blob(header, name, shared=True) for name in header.collections}
