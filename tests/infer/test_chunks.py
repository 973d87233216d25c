"""Chunks: every byte of a blob crosses once, to where its layout has it, in as few copies as there can be."""

from dataclasses import replace

import numpy as np
import pytest
from golden import GOLDEN, golden_placement
from hypothesis import given
from hypothesis import strategies as st

from soaflow.infer import chunks
from soaflow.infer.chunks import (
    Chunk,
    ChunkPlan,
    Region,
    chunk_regions,
    needed_bytes,
    row_bytes,
    scalar_regions,
    slot_placement,
)
from soaflow.soa.arrangement import item_array
from soaflow.soa.layout import Item, ItemKind, Layout

FLOATS = Layout.of(*(Item(name, "float32") for name in ("pt", "eta", "phi")))
MIXED = Layout.of(
    Item("pt", "float32"),
    Item("scale", "float64", ItemKind.SCALAR),
    Item("mask", "uint8", ItemKind.EIGEN, (3,)),
    Item("image", "float32", ItemKind.EIGEN, (2, 3)),
)
GOLDEN_LAYOUTS = list(dict.fromkeys(golden_placement(case).layout for case in GOLDEN["cases"]))


def lines(region, *, of_slot=False):
    """Offsets of the bytes of a region, a line each."""
    offset, pitch = (
        (region.slot_offset, region.slot_pitch) if of_slot else (region.blob_offset, region.blob_pitch)
    )
    starts = offset + pitch * np.arange(region.height)
    return starts[:, None] + np.arange(region.width)


def faults(layout, rows, plan):
    """Copy a blob of distinct values chunk by chunk as the regions say, and say what is wrong."""
    whole, slot = layout.place(rows), slot_placement(layout, rows, plan)
    blob = np.random.default_rng(rows).integers(0, 256, whole.blob_bytes, np.uint8)
    crossed, copy = np.zeros(whole.blob_bytes, int), np.zeros(slot.blob_bytes, np.uint8)
    for chunk in plan.chunks:
        regions = chunks.chunk_regions(whole, slot, chunk.begin, chunk.end, with_scalars=chunk.number == 0)
        for region in regions:
            inside = lines(region, of_slot=True)
            if inside.max() >= slot.blob_bytes or np.unique(inside).size != region.size:
                return "the slot"
            np.add.at(crossed, lines(region), 1)
            copy[inside] = blob[lines(region)]
        for item in layout.items:
            found, expected = (
                item_array(memoryview(bytes(side)), placement, item.name)
                for side, placement in ((copy, slot), (blob, whole))
            )
            if item.kind is not ItemKind.SCALAR:
                found, expected = found[: chunk.end - chunk.begin], expected[chunk.begin : chunk.end]
            if found.tobytes() != expected.tobytes():
                return f"values of {item.name}"
    return "" if (crossed == 1).all() else "the cover"


layouts_rows_and_plans = st.builds(
    lambda layout, rows, batch, batches: (layout, rows, ChunkPlan(rows, batch, min(rows, batch * batches))),
    st.sampled_from([*GOLDEN_LAYOUTS, FLOATS, MIXED]),
    st.integers(1, 400),
    st.integers(1, 70),
    st.integers(1, 9),
)


@given(layouts_rows_and_plans)
def test_chunks_partition_the_blob_and_hold_their_rows(case):
    assert faults(*case) == ""


PLAN = ChunkPlan(rows=300, batch_size=50, chunk_rows=100)


@pytest.mark.parametrize(
    ("plant", "telling"),
    [
        ({"blob_pitch": lambda r: r.blob_pitch + 128}, "values of eta"),
        ({"blob_offset": lambda r: r.blob_offset + 4}, "values of pt"),
        ({"width": lambda r: r.width - 4}, "values of pt"),
        ({"height": lambda _: 2}, "values of phi"),
        ({"slot_pitch": lambda r: r.width - 4}, "the slot"),
        ({"width": lambda r: r.width // 400 * 400}, "the cover"),
    ],
    ids=["pitch", "offset", "width", "height", "slot", "padding"],
)
def test_a_wrong_region_is_seen(monkeypatch, plant, telling):
    def planted(*arguments, **keywords):
        regions = chunk_regions(*arguments, **keywords)
        return [replace(r, **{field: wrong(r) for field, wrong in plant.items()}) for r in regions]

    assert faults(FLOATS, 300, PLAN) == ""
    monkeypatch.setattr(chunks, "chunk_regions", planted)
    assert faults(FLOATS, 300, PLAN) == telling


def test_one_chunk_of_everything_is_one_piece_scalars_and_padding_included():
    for layout in (FLOATS, MIXED):
        whole, plan = layout.place(300), ChunkPlan.whole(300, 0)
        assert slot_placement(layout, 300, plan) == whole
        size = whole.blob_bytes
        assert chunk_regions(whole, whole, 0, 300, with_scalars=True) == (Region(0, size, 0, size, size, 1),)


def test_items_of_one_width_are_one_region_and_others_a_few():
    def regions(layout):
        slot = slot_placement(layout, 300, PLAN)
        return chunk_regions(layout.place(300), slot, 100, 200, with_scalars=False)

    assert [(r.width, r.height) for r in regions(FLOATS)] == [(400, 3)]
    assert [(r.width, r.height) for r in regions(MIXED)] == [(400, 1), (100, 3), (400, 6)]


def test_lines_too_far_apart_for_one_copy_cross_one_by_one(monkeypatch):
    monkeypatch.setattr(chunks, "MOST_PITCH", 1279)
    slot = slot_placement(FLOATS, 300, PLAN)
    regions = chunk_regions(FLOATS.place(300), slot, 100, 200, with_scalars=False)
    assert [(r.blob_offset, r.blob_pitch, r.width, r.height) for r in regions] == [
        (400 + 1280 * line, 400, 400, 1) for line in range(3)
    ]
    assert faults(FLOATS, 300, PLAN) == ""


def test_rows_that_no_run_needs_do_not_cross():
    plan = ChunkPlan(rows=120, batch_size=50, chunk_rows=100)
    for layout in (FLOATS, MIXED):
        whole, slot = layout.place(300), slot_placement(layout, 300, plan)
        crossed = sum(
            region.size
            for chunk in plan.chunks
            for region in chunk_regions(whole, slot, chunk.begin, chunk.end, with_scalars=chunk.number == 0)
        )
        assert crossed == needed_bytes(whole, 120) < needed_bytes(whole, 300) == whole.blob_bytes


def test_scalars_lie_in_each_slot_where_the_first_one_has_them():
    slot = slot_placement(MIXED, 300, PLAN)
    assert scalar_regions(slot) == (Region(slot.offsets["scale"], 128, slot.offsets["scale"], 128, 128, 1),)
    assert scalar_regions(slot_placement(FLOATS, 300, PLAN)) == ()


def test_a_row_has_the_bytes_of_its_items():
    assert (row_bytes(FLOATS), row_bytes(MIXED)) == (12, 4 + 3 + 24)


# Plans


@given(st.integers(0, 500), st.integers(0, 70), st.integers(1, 40), st.integers(1, 1 << 14))
def test_chunks_cover_the_rows_in_whole_batches(rows, batch_size, width, chunk_bytes):
    plan = ChunkPlan.of_bytes(rows, batch_size, width, chunk_bytes)
    seen = [batch for chunk in plan.chunks for batch in chunk.batches()]
    step = batch_size or max(rows, 1)
    assert seen == [(i, b, min(b + step, rows)) for i, b in enumerate(range(0, rows, step))]
    assert plan.chunk_rows * width <= max(chunk_bytes, width * step)


MIB = 1 << 20


@pytest.mark.parametrize(
    ("rows", "batch_size", "chunk_rows"),
    [
        (16 * MIB, MIB, 2 * MIB),  # as many as `chunk_bytes` holds
        (6 * MIB, MIB // 2, 3 * MIB // 2),  # a fourth
        (7 * MIB, MIB, MIB),  # never fewer than four
        (3 * MIB, MIB, MIB),  # one batch each, though fewer than four
        (3 * MIB, 1 << 16, MIB),  # not less than is worth a copy
        (MIB // 2, 1 << 16, MIB // 2),
        (3 * MIB, 64, 64 * 1024),  # not more batches than can be timed
    ],
)
def test_a_run_is_at_least_four_chunks_where_they_are_worth_their_copies(rows, batch_size, chunk_rows):
    plan = ChunkPlan.of_bytes(rows, batch_size, row_bytes=1, chunk_bytes=2 * MIB)
    assert plan == ChunkPlan(rows, batch_size, chunk_rows)


@pytest.mark.parametrize(
    ("rows", "batch_size", "chunk_rows"),
    [
        (16 * MIB, MIB, 2 * MIB),
        (MIB, 256, 64 * 256),  # no graph of more calls
        (1000, 64, 4 * 64),  # so that there are some to replay, though they are no MiB
        (100, 64, 64),
        (1000, 0, 1000),
    ],
)
def test_chunks_whose_calls_are_captured_are_short(rows, batch_size, chunk_rows):
    plan = ChunkPlan.of_bytes(rows, batch_size, row_bytes=1, chunk_bytes=2 * MIB, captured=True)
    assert (plan.rows, plan.chunk_rows) == (rows, chunk_rows)


def test_a_plan_is_halved_down_to_one_batch():
    plan, seen = ChunkPlan(rows=1000, batch_size=64, chunk_rows=448), []
    while plan:
        seen.append((plan.batch_size, plan.chunk_rows))
        plan = plan.halved()
    assert seen == [(64, 448), (64, 192), (64, 64)]


def test_one_call_for_all_rows_is_halved_with_its_chunk_down_to_one_row():
    plan, seen = ChunkPlan.whole(5, 0), []
    while plan:
        seen.append((plan.batch_size, plan.chunk_rows))
        plan = plan.halved()
    assert seen == [(5, 5), (3, 3), (2, 2), (1, 1)]


def test_without_rows_there_are_no_chunks():
    assert ChunkPlan.whole(0, 0).chunks == ChunkPlan.of_bytes(0, 7, 12, 1 << 20).chunks == ()
    assert ChunkPlan.whole(0, 0).halved() is None


def test_a_batch_is_numbered_through_the_run():
    assert list(Chunk(2, 200, 260, 50).batches()) == [(4, 200, 250), (5, 250, 260)]
