"""Random numbers of event i that depend on the seed and on i, not on who asks for them.

Events come in blocks of `BLOCK_EVENTS`. Each block has one generator for each stream: NumPy's Philox,
a counter-based generator, with the seed and the stream as its key and the block as the highest word
of its counter. The invariant: a block's numbers are the same in whatever order, shard or process it
is generated, and whichever other streams are used.

Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11, doi:10.1145/2063384.2063405.

>>> generator(seed=1, stream=Stream.PARTICLES, block=3).integers(1000, size=3).tolist()
[611, 63, 715]
>>> [(part.block, part.begin, part.end) for part in blocks(range(4000, 9000))]
[(0, 4000, 4096), (1, 0, 4096), (2, 0, 808)]
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

BLOCK_EVENTS = 4096
"""Events of a block. Another number gives other events."""


class Stream(IntEnum):
    """What random numbers are for. The numbers are part of the keys: never change or reuse one."""

    PARTICLE_MULTIPLICITY = 1
    PARTICLES = 2
    IMAGE_MULTIPLICITY = 3
    IMAGES = 4
    TRACK_MULTIPLICITY = 5
    TRACKS = 6
    HIT_DETECTION = 7
    HITS = 8


@dataclass(frozen=True, slots=True)
class BlockPart:
    """Consecutive events of one block.

    Parameters
    ----------
    block
        Number of the block, from 0.
    begin, end
        First event and the one after the last, counted from the block's first event.
    """

    block: int
    begin: int
    end: int

    @property
    def first_event(self) -> int:
        """Global number of the first event."""
        return self.block * BLOCK_EVENTS + self.begin

    @property
    def events(self) -> int:
        """Number of events."""
        return self.end - self.begin


def blocks(events: range) -> Iterator[BlockPart]:
    """Go through the blocks of a range of global event numbers."""
    if not events:
        return
    for block in range(events.start // BLOCK_EVENTS, (events.stop - 1) // BLOCK_EVENTS + 1):
        start = block * BLOCK_EVENTS
        yield BlockPart(block, max(events.start - start, 0), min(events.stop - start, BLOCK_EVENTS))


def generator(seed: int, stream: Stream, block: int) -> np.random.Generator:
    """Return a new generator at the start of a block's stream.

    Parameters
    ----------
    seed
        0 to 2**64 - 1.
    stream
        What the numbers are for.
    block
        Number of the block.
    """
    key = np.array([seed, stream], dtype=np.uint64)
    counter = np.array([0, 0, 0, block], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
