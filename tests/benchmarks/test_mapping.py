"""Opening and mapping an events file: the time must not depend on its rows."""

import pytest

from soaflow.infer import process
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.storage import EVENTS, map_blob, read_header, writing

COLLECTIONS = {
    "events": Layout.of(Item("number", "int64"), Item("particles_count", "int32")),
    "particles": Layout.of(
        *(Item(name, "float32") for name in ("pt", "eta", "phi", "gen_pt")),
        Item("particle_class", "int32"),
        Item("mask", "uint8", ItemKind.EIGEN, (3,)),
        Item("event", "int32"),
    ),
}


@pytest.mark.parametrize("rows", [1_000, 10_000_000])
def test_open_and_map(benchmark, tmp_path, rows, full_size):
    rows = rows if full_size else rows // 1000
    path = tmp_path / "events.h5"
    with writing(path, EVENTS, {name: layout.place(rows) for name, layout in COLLECTIONS.items()}, {}):
        pass

    def open_and_map():
        header = read_header(path, EVENTS)
        return [map_blob(header, name) for name in header.collections]

    blobs = benchmark(open_and_map)
    mapped = [(blob.address, blob.placement.blob_bytes) for blob in blobs]
    benchmark.extra_info["mapped_bytes"] = sum(size for _, size in mapped)
    assert [process.touched_bytes(*blob) for blob in mapped] == [0, 0]
