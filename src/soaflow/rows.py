"""Rows of values wherever they are, read a range at a time.

The invariant: a range comes as native numbers, rows first, and nothing is kept of an earlier one.

>>> stored = np.arange(6, dtype=">f4").reshape(2, 3)  # planes of 2 elements, 3 rows
>>> rows = Rows((3, 2), stored.dtype, lambda chosen: stored[..., chosen].T)
>>> len(rows), rows[1:3].tolist(), rows[1:3].dtype.isnative
(3, [[1.0, 4.0], [2.0, 5.0]], True)
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

VALUES_PER_CHUNK = 1 << 18
"""Values looked at at a time; bounds the memory, and changes no figure."""

Read = Callable[[slice], npt.NDArray[Any]]
"""Gives the values of a range of rows, in their order."""


def in_chunks(shape: Sequence[int], values_per_chunk: int = VALUES_PER_CHUNK) -> Iterator[slice]:
    """Yield ranges of whole rows of about so many values, from the first row on.

    Parameters
    ----------
    shape
        Rows first, then the block of a row.
    values_per_chunk
        At least one row is in a range, whatever this is.

    >>> list(in_chunks((5, 3), 8))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    rows = shape[0]
    step = max(1, values_per_chunk // max(1, math.prod(shape[1:])))
    for begin in range(0, rows, step):
        yield slice(begin, min(begin + step, rows))


class Values(Protocol):
    """Rows that can be read by slices: arrays of NumPy and h5py, and `Rows`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows first, then the block of a row."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""

    def __getitem__(self, rows: slice, /) -> npt.NDArray[Any]:
        """Return a range of rows."""


class Rows:
    """Rows that a function reads.

    Parameters
    ----------
    shape
        Rows first, then the block of a row.
    dtype
        As stored, of any byte order.
    read
        Gives the values of a range of rows, in their order.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], read: Read) -> None:
        self.shape = shape
        self.stored = dtype
        self.dtype = dtype.newbyteorder("=")
        self._read = read

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice, /) -> npt.NDArray[Any]:
        begin, end, _ = rows.indices(len(self))
        values = np.asarray(self._read(slice(begin, end)))
        return values.reshape(end - begin, *self.shape[1:]).astype(self.dtype, copy=False)
