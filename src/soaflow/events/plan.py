"""What a source hands to the writer of a shard: the sizes first, then the rows a chunk at a time.

The invariant: the chunks of a plan, one after another, hold exactly the rows of its placements, and
no chunk's size depends on the number of events.

>>> [shard_range(total=10, shards=4, shard=shard) for shard in range(4)]
[range(0, 2), range(2, 5), range(5, 7), range(7, 10)]
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from soaflow.soa.layout import Placement
from soaflow.soa.storage import Attribute

Columns = dict[str, npt.NDArray[Any]]
"""Values by item, each with the rows as its first dimension."""

Chunk = dict[str, Columns]
"""The next rows of each collection."""


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """One shard of a dataset, ready to be written.

    Parameters
    ----------
    placements
        Of each collection, in the order of the file.
    attributes
        Of the file.
    scalars
        Value of each scalar item, by collection and item.
    chunks
        The rows; can be gone through once.
    """

    placements: Mapping[str, Placement]
    attributes: Mapping[str, Attribute]
    scalars: Mapping[str, Mapping[str, float]]
    chunks: Iterable[Chunk]


def shard_range(total: int, shards: int, shard: int) -> range:
    """Return the events of one shard: the shards follow one another and differ by at most one event."""
    return range(total * shard // shards, total * (shard + 1) // shards)
