"""Where the values of a comparison come from: soaflow's own files, and files from anywhere with its items.

The invariant: whatever the file, its items come as rows of native numbers, a chunk at a time, and what the
file does not say of itself is left empty, never guessed. No value is changed on the way.

>>> import tempfile
>>> layout = Layout.of(Item("pt", "float32", unit="GeV"))
>>> with tempfile.TemporaryDirectory() as folder:
...     np.save(f"{folder}/pt.npy", np.array([1.5, 2.5], ">f4"))
...     with opened_source(f"{folder}/pt.npy", like=layout.place(2)) as source:
...         source.rows, source.values["pt"][0:2].tolist(), source.identity["model"]
(2, [1.5, 2.5], '')
"""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from soaflow.compare.foreign import (
    Arrays,
    blob_arrays,
    guarded,
    hdf5_arrays,
    npz_arrays,
    numpy_array,
    root_arrays,
)
from soaflow.errors import LayoutError, StorageError
from soaflow.rows import Rows, Values
from soaflow.soa.arrangement import ATTRIBUTE_PREFIX
from soaflow.soa.header import checked_dataset, opened, read_description
from soaflow.soa.layout import Item, ItemKind, Layout, Placement
from soaflow.soa.signature import PREDICTION_COLLECTION
from soaflow.soa.storage import PREDICTIONS, map_blob, read_header

IDENTITY = {
    "dataset": "dataset",
    "shard": "shard",
    "model": "model",
    "variant": "variant",
    "weights_sha256": "weights",
    "events_sha256": "events",
}
"""What predictions say of themselves, as an attribute, and its word."""

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Source:
    """Predictions to compare.

    Parameters
    ----------
    path
        The file.
    identity
        What it says of itself, a text for each key of `IDENTITY`; empty where it says nothing.
    items
        In order, with the dtype that the file has.
    rows
        Of every item.
    values
        Of every item, rows first.
    """

    path: Path
    identity: dict[str, str]
    items: tuple[Item, ...]
    rows: int
    values: dict[str, Values]


@contextmanager
def opened_sources(
    reference: Path | str, candidate: Path | str, *, blob: Layout | None = None, raw: bool = False
) -> Iterator[tuple[Source, Source]]:
    """Open a reference and a candidate; a file from elsewhere is read by the items of the other one.

    Parameters
    ----------
    reference, candidate
        Predictions files of soaflow, or any HDF5, NumPy or ROOT files that have the items by name.
    blob
        Items of the candidate's blob; those of the reference if None. Only with `raw`.
    raw
        Whether the candidate holds just the bytes of a blob, for the rows of the reference.

    Raises
    ------
    StorageError
        If a file cannot be read, or lacks an item or rows.
    """
    first, other = Path(reference), Path(candidate)
    with ExitStack() as stack:
        if not is_own(first) and is_own(other):
            found = stack.enter_context(opened_source(other))
            known = stack.enter_context(opened_source(first, like=_placement_of(found)))
        else:
            known = stack.enter_context(opened_source(first))
            like = _placement_of(known)
            if raw and blob is not None:
                like = blob.place(known.rows)
            found = stack.enter_context(opened_source(other, like=like, raw=raw))
        yield known, found


@contextmanager
def opened_source(path: Path | str, *, like: Placement | None = None, raw: bool = False) -> Iterator[Source]:
    """Open predictions.

    Parameters
    ----------
    path
        The file.
    like
        Items and rows of what it is compared with, for a file that does not describe itself.
    raw
        Whether the file is the bytes of a blob of these items and rows.

    Raises
    ------
    StorageError
        If the file cannot be read, or lacks an item or rows.
    """
    path = Path(path)
    if raw:
        if like is None:
            raise StorageError(
                f"{path} is a blob, which says nothing of its items: name a reference that does"
            )
        yield _blob_source(path, like)
    elif is_own(path):
        with _own_source(path) as source:
            yield source
    else:
        with _foreign_arrays(path, () if like is None else like.layout.names) as (found, identity):
            yield _foreign_source(path, found, identity, like)


def is_own(path: Path) -> bool:
    """Whether a file is an HDF5 file that soaflow wrote, or that claims so."""
    if not _is_hdf5(path):
        return False
    with opened(path) as file:
        return "soaflow" in file.attrs


def unstated(source: Source, other: Source) -> str | None:
    """Say in a sentence what a file does not say of itself, so that it could not be checked.

    Parameters
    ----------
    source
        The file.
    other
        What it is compared with.
    """
    missing = [word for key, word in IDENTITY.items() if not source.identity[key] and key != "variant"]
    if not missing:
        return None
    words = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
    return f"{source.path} does not say which {words} it is of: those of {other.path} are assumed"


def _placement_of(source: Source) -> Placement:
    return Layout(source.items).place(source.rows)


def _is_hdf5(path: Path) -> bool:
    if path.suffix in (".h5", ".hdf5"):
        return True
    try:
        with open(path, "rb") as stream:
            return stream.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from error


@contextmanager
def _own_source(path: Path) -> Iterator[Source]:
    """Map a file; one that another tool has chunked or moved is read instead."""
    with opened(path) as file:
        description = read_description(path, file, PREDICTIONS)
        if PREDICTION_COLLECTION not in description.placements:
            raise StorageError(f"{path} has no collection '{PREDICTION_COLLECTION}': run inference again")
        placement = description.placements[PREDICTION_COLLECTION]
        try:
            blob = map_blob(read_header(path, PREDICTIONS), PREDICTION_COLLECTION)
            values: dict[str, Values] = {
                item.name: _repeated(blob.array(item.name), placement.rows) for item in placement.layout.items
            }
        except StorageError:
            group = file[PREDICTION_COLLECTION]
            values = {item.name: _stored(path, group, item, placement) for item in placement.layout.items}
        yield Source(path, _identity(description.attributes), placement.layout.items, placement.rows, values)


def _stored(path: Path, group: h5py.Group, item: Item, placement: Placement) -> Values:
    checked_dataset(path, group, PREDICTION_COLLECTION, item, placement)
    dataset = group[item.name]
    if item.kind is ItemKind.SCALAR:
        return _repeated(np.asarray(dataset[()]), placement.rows)
    return _planes_as_rows(path, dataset, (placement.rows, *item.shape))


def _planes_as_rows(path: Path, dataset: h5py.Dataset, shape: tuple[int, ...]) -> Rows:
    """Read elements first, as soaflow stores them, rows first."""
    return Rows(shape, dataset.dtype, guarded(path, lambda rows: dataset[..., rows].T))


def _repeated(array: np.ndarray[Any, Any], rows: int) -> Values:
    return array if array.ndim else np.broadcast_to(array, (rows,))


def _identity(attributes: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(attributes.get(key, "")) for key in IDENTITY}


def _blob_source(path: Path, placement: Placement) -> Source:
    values = {name: _repeated(array, placement.rows) for name, array in blob_arrays(path, placement).items()}
    return Source(path, _identity({}), placement.layout.items, placement.rows, values)


@contextmanager
def _foreign_arrays(path: Path, names: Sequence[str]) -> Iterator[tuple[Arrays, dict[str, str]]]:
    """Give the arrays of a file by name, and what it says of itself.

    Parameters
    ----------
    path
        The file.
    names
        Of the items that are looked for, if they are known; one array alone is the one item.
    """
    if _is_hdf5(path):
        with opened(path) as file:
            said = {key.removeprefix(ATTRIBUTE_PREFIX): value for key, value in file.attrs.items()}
            yield hdf5_arrays(file, PREDICTION_COLLECTION), _identity(said)
    elif path.suffix == ".npy":
        array = numpy_array(path)
        if len(names) > 1:
            raise StorageError(
                f"{path} is one array, and there are {', '.join(names)}: put them into an .npz file"
            )
        yield {names[0] if names else path.stem: array}, _identity({})
    elif path.suffix in (".npz", ".root"):
        with (npz_arrays if path.suffix == ".npz" else root_arrays)(path) as arrays:
            yield arrays, _identity({})
    else:
        raise StorageError(
            f"{path} is no kind of file that predictions are read from: name an HDF5, .npy, .npz or .root "
            "file, or give --blob for the bytes of a collection"
        )


def _foreign_source(path: Path, found: Arrays, identity: dict[str, str], like: Placement | None) -> Source:
    names = tuple(found) if like is None else like.layout.names
    if missing := [name for name in names if name not in found]:
        raise StorageError(f"{path} has no array '{missing[0]}': it has {', '.join(found) or 'none'}")
    items = [_item_of(path, name, found[name], like) for name in names]
    values = {item.name: _rows_of(path, found[item.name], item, like) for item in items}
    lengths = {name: rows.shape[0] for name, rows in values.items()}
    if len(set(lengths.values())) != 1:
        listed = ", ".join(f"{name} {rows}" for name, rows in lengths.items()) or "none"
        raise StorageError(f"{path} must have arrays of one number of rows, and it has {listed}")
    return Source(path, identity, tuple(items), lengths[items[0].name], values)


def _item_of(path: Path, name: str, array: Values, like: Placement | None) -> Item:
    """Return the item that an array is: its own dtype, with shape and unit of the one it is compared with."""
    dtype, block = array.dtype.newbyteorder("=").name, tuple(array.shape[1:])
    try:
        if like is not None:
            return dataclasses.replace(like.layout[name], dtype=dtype)
        return Item(name, dtype, ItemKind.EIGEN if block else ItemKind.COLUMN, block)
    except LayoutError as error:
        raise StorageError(f"{path}: {error}") from error


def _rows_of(path: Path, array: Values, item: Item, like: Placement | None) -> Values:
    """Return an array rows first; an HDF5 dataset may be elements first, as soaflow's own files are."""
    shape, block = tuple(array.shape), item.shape
    if item.kind is ItemKind.SCALAR and shape == () and like is not None:
        return np.broadcast_to(np.asarray(array[()]), (like.rows,))  # type: ignore[index]
    rows_first = bool(shape) and _without_ones(shape[1:]) == _without_ones(block)
    elements_first = (
        isinstance(array, h5py.Dataset)
        and like is not None
        and bool(block)
        and shape in _planes(item, like.rows)
    )
    if rows_first and elements_first:
        raise StorageError(
            f"{path} has an array '{item.name}' of shape {list(shape)}, whose rows and elements cannot be "
            "told apart: give the rows in an .npz file"
        )
    if rows_first:
        return Rows((shape[0], *block), array.dtype, guarded(path, lambda rows: array[rows]))
    if elements_first and like is not None:
        return _planes_as_rows(path, array, (like.rows, *block))
    raise StorageError(
        f"{path} has an array '{item.name}' of shape {list(shape)}: give one of shape "
        f"[{', '.join(map(str, ('rows', *block)))}]"
    )


def _planes(item: Item, rows: int) -> tuple[tuple[int, ...], ...]:
    """Return the shapes that an item has elements first, with and without padding."""
    block = tuple(reversed(item.shape))
    return (*block, rows), (*block, Layout.of(item).place(rows).stride(item.name))


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for length in shape if length != 1)
