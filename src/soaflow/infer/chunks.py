"""Which rows cross to another device together, and which bytes of a blob they are.

The invariant: the regions of all chunks of a plan cover a blob's bytes exactly once, padding included, and
each lies where the layout has it, both in the whole blob and in the blob of a slot. Nothing here knows of a
device or of torch.

A collection's planes (each column, each component of an eigen item) are equally long for one width of
item, so the rows of a chunk are a rectangle: one line a plane. Planes that follow each other are one region,
which crosses in one copy.

>>> from soaflow.soa.layout import Item, Layout
>>> particles = Layout.of(Item("pt", "float32"), Item("eta", "float32"), Item("charge", "int8"))
>>> whole, slot = particles.place(rows=1000), slot_placement(particles, 1000, ChunkPlan(1000, 100, 500))
>>> for region in chunk_regions(whole, slot, 500, 1000, with_scalars=False):
...     print(region)
Region(blob_offset=2000, blob_pitch=4096, slot_offset=0, slot_pitch=2560, width=2096, height=2)
Region(blob_offset=8692, blob_pitch=524, slot_offset=5120, slot_pitch=524, width=524, height=1)
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Self

from soaflow.soa.layout import ItemKind, Layout, Placement

CHUNK_BYTES = 32 << 20
"""Of the inputs or of the outputs of a chunk, whichever are more. Chosen without a device, and to be measured
on one: copies this long should reach a link's full speed, and two of them are little of a GPU's memory.
"""

LEAST_CHUNK_BYTES = 1 << 20
"""Of a chunk that is made shorter for others to overlap with it: some 20 us of a link, and a copy costs about
10 us whatever its length.
"""

LEAST_CHUNKS = 4
"""Of a run with the rows for them: with fewer, most copies are the first or the last, which nothing hides."""

MOST_BATCHES = 1024
"""Of a chunk, as the device keeps two events for each until the chunk is done. So many calls take
milliseconds, beside which the copies of a chunk count for little however few its bytes are.
"""

CAPTURED_BATCHES = 64
"""The most of a chunk whose calls are captured: giving the device so many at once already takes the host next
to no time, and a graph grows with them.
"""

MOST_PITCH = (1 << 31) - 1
"""Bytes from one line to the next that a copy of several lines may have: `CU_DEVICE_ATTRIBUTE_MAX_PITCH`."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows that cross together.

    Parameters
    ----------
    number
        From 0.
    begin, end
        Its rows.
    batch_size
        Rows of a batch; the last of the run may be short.
    """

    number: int
    begin: int
    end: int
    batch_size: int

    def batches(self) -> Iterator[tuple[int, int, int]]:
        """Yield each batch's number in the run, and its rows.

        >>> list(Chunk(number=1, begin=6, end=10, batch_size=3).batches())
        [(2, 6, 9), (3, 9, 10)]
        """
        step, last = self.batch_size, self.end
        for index, begin in enumerate(range(self.begin, last, step), self.begin // step):
            yield index, begin, min(begin + step, last)

    def batch_of(self, row: int) -> tuple[int, int, int]:
        """Return the number in the run, and the rows, of the batch that a row of the chunk is in."""
        index = row // self.batch_size
        begin = index * self.batch_size
        return index, begin, min(begin + self.batch_size, self.end)


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """How the rows of a run are cut.

    Parameters
    ----------
    rows
        Of the run.
    batch_size
        Rows of a call, from 1.
    chunk_rows
        Rows of a chunk: a multiple of the batch size, or all rows.
    in_one_call
        Whether one call for all rows was asked for, so that a smaller chunk makes the call smaller.
    """

    rows: int
    batch_size: int
    chunk_rows: int
    in_one_call: bool = False

    @classmethod
    def whole(cls, rows: int, batch_size: int) -> Self:
        """Plan one chunk of all rows.

        Parameters
        ----------
        rows
            Of the run.
        batch_size
            Rows of a call; 0 for all.
        """
        return cls(rows, batch_size or max(rows, 1), rows, in_one_call=not batch_size)

    @classmethod
    def of_bytes(
        cls, rows: int, batch_size: int, row_bytes: int, chunk_bytes: int, *, captured: bool = False
    ) -> Self:
        """Plan chunks that overlap, of one batch at least; one call for all rows is one chunk.

        They are `LEAST_CHUNKS` or more, unless they would have fewer bytes than `LEAST_CHUNK_BYTES`. Where
        their calls are captured they may have fewer, so that some are left to be replayed.

        Parameters
        ----------
        rows, batch_size
            As in `whole`.
        row_bytes
            Of one row, from 1.
        chunk_bytes
            Of a chunk, at most.
        captured
            Whether the calls of a chunk are captured and replayed.

        >>> ChunkPlan.of_bytes(rows=600_000, batch_size=1000, row_bytes=12, chunk_bytes=32 << 20).chunk_rows
        150000
        """
        if not batch_size:
            return cls.whole(rows, batch_size)
        batch_bytes = row_bytes * batch_size
        shared = -(-rows // batch_size) // LEAST_CHUNKS
        if captured:
            batches = min(chunk_bytes // batch_bytes, shared, CAPTURED_BATCHES)
        else:
            worth_a_copy = -(-LEAST_CHUNK_BYTES // batch_bytes)
            batches = min(chunk_bytes // batch_bytes, max(shared, worth_a_copy), MOST_BATCHES)
        return cls(rows, batch_size, min(rows, max(1, batches) * batch_size))

    def halved(self) -> Self | None:
        """Return the plan with chunks half as long; None if a chunk is one batch, or one row, already.

        >>> ChunkPlan(rows=1000, batch_size=64, chunk_rows=448).halved().chunk_rows
        192
        >>> ChunkPlan.whole(rows=1001, batch_size=0).halved()
        ChunkPlan(rows=1001, batch_size=501, chunk_rows=501, in_one_call=True)
        """
        if self.in_one_call:
            half = -(-self.chunk_rows // 2)
            return replace(self, batch_size=half, chunk_rows=half) if half < self.chunk_rows else None
        half = max(1, self.chunk_rows // 2 // self.batch_size) * self.batch_size
        return replace(self, chunk_rows=half) if half < self.chunk_rows else None

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """The chunks in order; none without rows."""
        begins = range(0, self.rows, max(self.chunk_rows, 1))
        return tuple(
            Chunk(number, begin, min(begin + self.chunk_rows, self.rows), self.batch_size)
            for number, begin in enumerate(begins)
        )


@dataclass(frozen=True, slots=True)
class Region:
    """Bytes of a blob that cross in one copy: equally long lines, equally far apart on either side.

    Parameters
    ----------
    blob_offset, blob_pitch
        Of the first line in the whole blob, and from one line to the next; in bytes, as all here.
    slot_offset, slot_pitch
        The same in the blob of a slot.
    width, height
        Bytes of a line, and lines.
    """

    blob_offset: int
    blob_pitch: int
    slot_offset: int
    slot_pitch: int
    width: int
    height: int

    @property
    def size(self) -> int:
        """Bytes that cross."""
        return self.width * self.height

    def between_slots(self) -> "Region":
        """Return the region as it is where both sides are laid out as a slot."""
        return replace(self, blob_offset=self.slot_offset, blob_pitch=self.slot_pitch)


def row_bytes(layout: Layout) -> int:
    """Return the bytes of one row of a collection, without padding and without scalars."""
    return sum(item.itemsize * item.planes for item in layout.items if item.kind is not ItemKind.SCALAR)


def needed_bytes(placement: Placement, rows: int) -> int:
    """Return how many bytes of a blob must cross for its first rows.

    For all rows that is the whole blob. For fewer, nothing after a plane's last needed row crosses.
    """
    if rows == placement.rows:
        return placement.blob_bytes
    scalars = (i.name for i in placement.layout.items if i.kind is ItemKind.SCALAR)
    return rows * row_bytes(placement.layout) + sum(map(placement.item_bytes, scalars))


def slot_placement(layout: Layout, rows: int, plan: ChunkPlan) -> Placement:
    """Lay a collection out for a slot, which holds any chunk of a plan with the padding that follows it.

    Parameters
    ----------
    layout
        Of the collection.
    rows
        Of the collection, which may have more than the run.
    plan
        Of the run.

    Returns
    -------
    Placement
        That of the whole collection if all of it is one chunk, so that it crosses in one piece.
    """
    if plan.chunk_rows == rows:
        return layout.place(rows)
    # A plane's padding is shorter than the alignment in bytes, so no longer than as many rows of any item.
    return layout.place(plan.chunk_rows + layout.alignment)


def chunk_regions(
    whole: Placement, slot: Placement, begin: int, end: int, *, with_scalars: bool
) -> tuple[Region, ...]:
    """Return the regions that rows of a collection are, in as few copies as there can be.

    Parameters
    ----------
    whole
        Of the collection.
    slot
        From `slot_placement`.
    begin, end
        The rows. Those that reach the collection's end take each plane's padding with them.
    with_scalars
        Whether the scalars cross too.
    """
    regions: list[Region] = []
    for item in whole.layout.items:
        offset, slot_offset = whole.offsets[item.name], slot.offsets[item.name]
        if item.kind is ItemKind.SCALAR:
            if with_scalars:
                size = whole.item_bytes(item.name)
                regions.append(Region(offset, size, slot_offset, size, size, 1))
            continue
        pitch, slot_pitch = (placed.stride(item.name) * item.itemsize for placed in (whole, slot))
        first = begin * item.itemsize
        width = (pitch if end == whole.rows else end * item.itemsize) - first
        regions.append(Region(offset + first, pitch, slot_offset, slot_pitch, width, item.planes))
    filled = (region for region in regions if region.size)
    joined = _joined(map(_flat, _joined(filled, _stacked)), _continued)
    return tuple(chain.from_iterable(map(_copyable, joined)))


def scalar_regions(slot: Placement) -> tuple[Region, ...]:
    """Return the regions of a slot's scalars, from one slot to another."""
    scalars = [item.name for item in slot.layout.items if item.kind is ItemKind.SCALAR]
    places = [(slot.offsets[name], slot.item_bytes(name)) for name in scalars]
    return tuple(Region(offset, size, offset, size, size, 1) for offset, size in places)


def _joined(regions: Iterable[Region], join: Callable[[Region, Region], Region | None]) -> Iterator[Region]:
    """Join neighbours as long as they can be one."""
    current: Region | None = None
    for region in regions:
        together = join(current, region) if current else region
        if current and not together:
            yield current
        current = together or region
    if current:
        yield current


def _stacked(above: Region, below: Region) -> Region | None:
    """Return the lines of two regions as one, if they are alike and follow each other on both sides."""
    next_line = replace(
        above,
        blob_offset=above.blob_offset + above.height * above.blob_pitch,
        slot_offset=above.slot_offset + above.height * above.slot_pitch,
        height=below.height,
    )
    return replace(above, height=above.height + below.height) if below == next_line else None


def _flat(region: Region) -> Region:
    """Return a region as one line, if nothing lies between its lines on either side."""
    if region.height > 1 and not region.width == region.blob_pitch == region.slot_pitch:
        return region
    return _line(region.blob_offset, region.slot_offset, region.size)


def _continued(before: Region, after: Region) -> Region | None:
    """Return two lines as one, if the second continues the first on both sides."""
    if before.height > 1 or after != _line(
        before.blob_offset + before.width, before.slot_offset + before.width, after.size
    ):
        return None
    return _line(before.blob_offset, before.slot_offset, before.width + after.width)


def _copyable(region: Region) -> Iterator[Region]:
    """Yield a region, or each of its lines where they are too far apart for one copy."""
    if region.height == 1 or max(region.blob_pitch, region.slot_pitch) <= MOST_PITCH:
        yield region
        return
    for number in range(region.height):
        yield _line(
            region.blob_offset + number * region.blob_pitch,
            region.slot_offset + number * region.slot_pitch,
            region.width,
        )


def _line(blob_offset: int, slot_offset: int, width: int) -> Region:
    return Region(blob_offset, width, slot_offset, width, width, 1)
