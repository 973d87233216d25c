"""Predictions of reference and candidate with their truth, a chunk of rows at a time.

The invariant: nothing that is measured from chunks depends on how the rows are cut or in which order the
shards come. No file is opened here, so who judges what was measured need not load what reads files.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

ROWS_PER_CHUNK = 1 << 17
"""Rows looked at at a time; bounds the memory, and changes no figure."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a shard.

    Parameters
    ----------
    shard
        That the rows are of.
    first_row
        Of the chunk, in the shard.
    reference, value
        Shape `(n, columns)`, float64.
    truth
        Shape `(n,)`, in the item's dtype; None where it is not known.
    """

    shard: str
    first_row: int
    reference: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]
    truth: npt.NDArray[Any] | None


Chunks = Callable[[], Iterator[Chunk]]
"""Gives all rows, and gives them again with each call."""
