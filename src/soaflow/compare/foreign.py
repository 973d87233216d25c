"""Arrays of files that soaflow did not write: HDF5, NumPy, ROOT, and the bytes of a blob.

The invariant: nothing is loaded beyond the rows asked for, no pickle is opened, and an array is what its file
says it is; which item it stands for is decided in `soaflow.compare.sources`.
"""

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from soaflow.errors import StorageError
from soaflow.rows import Read, Rows, Values
from soaflow.soa.arrangement import item_array
from soaflow.soa.layout import Placement

Arrays = dict[str, Values]
"""Arrays by name."""

_DAMAGES = (OSError, EOFError, zlib.error, zipfile.BadZipFile)
"""What is raised where the bytes of a compressed file are not what they should be."""


def guarded(path: Path, read: Read) -> Read:
    """Return a reader of rows that raises a `StorageError` where the file turns out to be damaged."""

    def careful(rows: slice) -> np.ndarray[Any, Any]:
        try:
            return read(rows)
        except _DAMAGES as error:
            raise StorageError(f"{path} is damaged: {error}; make it again") from error

    return careful


def hdf5_arrays(file: h5py.File, group: str) -> Arrays:
    """Return the datasets of a group, or those at the top of a file that has no such group."""
    place = file[group] if isinstance(file.get(group), h5py.Group) else file
    return {name: dataset for name, dataset in place.items() if isinstance(dataset, h5py.Dataset)}


def numpy_array(path: Path) -> Values:
    """Map the array of a .npy file.

    Raises
    ------
    StorageError
        If it is not such a file, or holds Python objects.
    """
    try:
        array: Values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be read as a NumPy array: {error}") from error
    return array


@contextmanager
def npz_arrays(path: Path) -> Iterator[Arrays]:
    """Give the arrays of a .npz file, compressed or not, each read from its beginning to its end.

    Raises
    ------
    StorageError
        If it is not such a file, or an array holds Python objects or is stored columns first.
    """
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            streams = {name: stack.enter_context(archive.open(name)) for name in names}
        except (OSError, zipfile.BadZipFile) as error:
            raise StorageError(f"{path} cannot be read as an .npz file: {error}") from error
        yield {name.removesuffix(".npy"): _Member(path, name, streams[name]).rows for name in names}


class _Member:
    """An array in an archive, whose rows are unpacked one after another."""

    def __init__(self, path: Path, member: str, stream: IO[bytes]) -> None:
        name = member.removesuffix(".npy")
        self._name, self._stream = name, stream
        self._next = 0
        try:
            version = np.lib.format.read_magic(stream)
            old = version == (1, 0)
            read = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
            shape, columns_first, dtype = read(stream)
        except (ValueError, *_DAMAGES) as error:
            raise StorageError(f"{path}: member '{member}' is not an array: {error}") from error
        if dtype.hasobject or (columns_first and len(shape) > 1):
            what = "Python objects" if dtype.hasobject else "its columns first"
            raise StorageError(
                f"{path}: array '{name}' holds {what}: store numpy.ascontiguousarray of plain numbers"
            )
        self._row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        self._start = stream.tell()
        self.rows = Rows(shape, dtype, guarded(path, self._read))

    def _read(self, rows: slice) -> np.ndarray[Any, Any]:
        if rows.start != self._next:
            self._stream.seek(self._start + rows.start * self._row_bytes)
        size = (rows.stop - rows.start) * self._row_bytes
        packed = self._stream.read(size)
        if len(packed) < size:
            raise EOFError(f"array '{self._name}' ends before row {rows.stop}")
        self._next = rows.stop
        return np.frombuffer(packed, self.rows.stored)


@contextmanager
def root_arrays(path: Path) -> Iterator[Arrays]:
    """Give the flat branches of the one TTree or RNTuple in a ROOT file.

    Raises
    ------
    StorageError
        If it is not such a file, or has no or several trees.
    """
    import uproot  # noqa: PLC0415  slow, and needed for ROOT files alone

    try:
        file = uproot.open(path)
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())
        raise StorageError(f"{path} cannot be read as a ROOT file: {said}") from error
    with file:
        classes = file.classnames(cycle=False)
        trees = sorted(name for name, kind in classes.items() if kind in ("TTree", "ROOT::RNTuple"))
        if len(trees) != 1:
            raise StorageError(f"{path} has the trees {', '.join(trees) or 'none'}: give a file with one")
        tree = file[trees[0]]
        branches = {
            name: _branch_rows(path, tree[name], tree.num_entries) for name in tree.keys(recursive=False)
        }
        yield {name: rows for name, rows in branches.items() if rows.dtype.kind in "biuf"}


def _branch_rows(path: Path, branch: Any, rows: int) -> Rows:
    """Read a branch; one that is not flat gives Python objects."""

    def read(chosen: slice) -> np.ndarray[Any, Any]:
        return np.asarray(branch.array(entry_start=chosen.start, entry_stop=chosen.stop, library="np"))

    first = read(slice(0, min(1, rows)))
    return Rows((rows, *first.shape[1:]), first.dtype, guarded(path, read))


def blob_arrays(path: Path, placement: Placement) -> dict[str, np.ndarray[Any, Any]]:
    """Map the bytes of a collection's blob, as CMSSW's SoATemplate lays it out.

    Raises
    ------
    StorageError
        If the file has another size than the blob.
    """
    try:
        size = path.stat().st_size
        mapped = np.memmap(path, np.uint8, "r") if size else np.zeros(0, np.uint8)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from error
    if size != placement.blob_bytes:
        described = ", ".join(f"{item.name} {item.dtype}" for item in placement.layout.items)
        raise StorageError(
            f"{path} has {size} bytes, and a blob of {placement.rows} rows of {described} at an alignment of "
            f"{placement.layout.alignment} has {placement.blob_bytes}: name its items with --layout"
        )
    return {name: item_array(mapped.data, placement, name) for name in placement.layout.names}
