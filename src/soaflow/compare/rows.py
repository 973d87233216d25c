"""Rows of values wherever they are, read a range at a time.

The invariant: a range comes as native numbers, rows first, and nothing is kept of an earlier one.

>>> stored = np.arange(6, dtype=">f4").reshape(2, 3)  # planes of 2 elements, 3 rows
>>> rows = Rows((3, 2), stored.dtype, lambda chosen: stored[..., chosen].T)
>>> len(rows), rows[1:3].tolist(), rows[1:3].dtype.isnative
(3, [[1.0, 4.0], [2.0, 5.0]], True)
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Read = Callable[[slice], npt.NDArray[Any]]
"""Gives the values of a range of rows, in their order."""


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
