import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interrupting import INTERRUPTIBLE

from soaflow.errors import LayoutError, OutputError, StorageError
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.storage import EVENTS, PREDICTIONS, map_blob, mapping_new, read_header, writing


def stored_bytes(path: Path, collection: str) -> bytes:
    """Read a blob with plain file operations."""
    stored = read_header(path).collection(collection)
    with open(path, "rb") as stream:
        stream.seek(stored.file_offset)
        return stream.read(stored.placement.blob_bytes)


def by_name(path: Path, collection: str, item: Item, rows: int):
    """Read an item as a user of h5py does, rows first."""
    with h5py.File(path) as file:
        dataset = file[collection][item.name]
        return dataset[()] if item.kind is ItemKind.SCALAR else dataset[..., :rows].T


@settings(deadline=None)
@given(data=st.data(), rows=st.lists(st.integers(0, 70), min_size=1, max_size=3))
def test_written_items_are_read_by_name_and_the_bytes_are_the_blob(
    tmp_path_factory, layouts, values_of, reference_blob, write_events, data, rows
):
    alignment = data.draw(st.sampled_from([8, 64, 128, 4096]))
    placements = {
        f"collection_{index}": data.draw(layouts(alignment)).place(n) for index, n in enumerate(rows)
    }
    values = {
        name: values_of(p.layout, p.rows, data.draw(st.integers(0, 99))) for name, p in placements.items()
    }
    path = tmp_path_factory.getbasetemp() / "property.h5"
    write_events(path, placements, values)
    for name, placement in placements.items():
        assert stored_bytes(path, name) == reference_blob(placement.layout, placement.rows, values[name])
        for item in placement.layout.items:
            expected = np.array(values[name][item.name], item.dtype)
            found = by_name(path, name, item, placement.rows)
            np.testing.assert_array_equal(found, expected.reshape(found.shape), strict=True)


@settings(deadline=None)
@given(data=st.data(), rows=st.integers(1, 70))
def test_rows_are_written_in_any_pieces_and_any_order(
    tmp_path_factory, layouts, values_of, reference_blob, data, rows
):
    layout = data.draw(layouts())
    values = values_of(layout, rows, 3)
    cuts = sorted({0, rows, *data.draw(st.lists(st.integers(0, rows), max_size=4))})
    pieces = [(item, begin, end) for item in layout.items for begin, end in pairwise(cuts)]
    path = tmp_path_factory.getbasetemp() / "pieces.h5"
    with writing(path, EVENTS, {"particles": layout.place(rows)}, {}) as writer:
        for item, begin, end in data.draw(st.permutations(pieces)):
            held = values[item.name]
            if item.kind is ItemKind.SCALAR:
                writer.write("particles", item.name, np.array(held, item.dtype))
            else:
                writer.write("particles", item.name, np.array(held[begin:end], item.dtype), begin)
    assert stored_bytes(path, "particles") == reference_blob(layout, rows, values)


def test_writing_and_mapping_make_the_same_bytes(tmp_path, every_kind, values_of, write_events):
    placements = {"particles": every_kind.place(33), "others": every_kind.place(5)}
    values = {name: values_of(every_kind, p.rows, 5) for name, p in placements.items()}
    first = write_events(tmp_path / "first.h5", placements, values).read_bytes()
    assert write_events(tmp_path / "second.h5", placements, values).read_bytes() == first
    with mapping_new(
        tmp_path / "mapped.h5", EVENTS, placements, {"dataset": "toy", "seed": 7, "fraction": 0.5}
    ) as blobs:
        for name, items in values.items():
            for item, held in items.items():
                blobs[name].array(item)[...] = held
    assert (tmp_path / "mapped.h5").read_bytes() == first


def test_another_process_at_another_time_writes_the_same_bytes(tmp_path):
    script = """
import sys
from soaflow.soa.layout import Item, Layout
from soaflow.soa.storage import EVENTS, writing
layout = Layout.of(Item("pt", "float32", unit="GeV"))
with writing(sys.argv[1], EVENTS, {"particles": layout.place(9)}, {"dataset": "toy"}) as writer:
    writer.write("particles", "pt", range(9))
"""
    for name in ("first.h5", "second.h5"):
        subprocess.run([sys.executable, "-c", script, tmp_path / name], check=True)
    assert (tmp_path / "first.h5").read_bytes() == (tmp_path / "second.h5").read_bytes()


def test_numbers_are_little_endian(tmp_path, write_events):
    layout = Layout.of(Item("pt", "float32"), Item("run", "uint16"))
    path = write_events(
        tmp_path / "a.h5", {"particles": layout.place(2)}, {"particles": {"pt": [1.0, -2.0], "run": [1, 515]}}
    )
    blob = stored_bytes(path, "particles")
    assert blob[:8] == bytes.fromhex("0000803f 000000c0")
    assert blob[128:132] == bytes.fromhex("0100 0302")
    with h5py.File(path) as file:
        assert {file["particles"][name].dtype.str for name in layout.names} == {"<f4", "<u2"}


def test_units_layout_and_attributes_are_in_the_file(tmp_path, every_kind, write_events):
    path = write_events(tmp_path / "a.h5", {"particles": every_kind.place(3)}, {})
    header = read_header(path, EVENTS)
    assert header.attributes == {"dataset": "toy", "seed": 7, "fraction": 0.5}
    assert [type(value) for value in header.attributes.values()] == [str, float, int]
    assert header.collection("particles").placement.layout == every_kind
    with h5py.File(path) as file:
        assert file["particles/pt"].attrs["unit"] == b"GeV"
        assert file["particles/image"].attrs["kind"] == b"eigen"
        assert file.attrs["schema_version"] == 1


def test_bools_are_bools_for_every_reader(tmp_path, write_events):
    layout = Layout.of(Item("selected", "bool"))
    path = write_events(
        tmp_path / "a.h5", {"jets": layout.place(3)}, {"jets": {"selected": [True, False, True]}}
    )
    assert by_name(path, "jets", layout["selected"], 3).tolist() == [True, False, True]
    assert by_name(path, "jets", layout["selected"], 3).dtype == np.bool_
    assert map_blob(read_header(path), "jets").array("selected").tolist() == [True, False, True]


@pytest.mark.parametrize("rows", [0, 1])
def test_no_rows_and_one_row_are_files_like_any_other(
    tmp_path, every_kind, values_of, reference_blob, write_events, rows
):
    values = values_of(every_kind, rows, 2)
    path = write_events(tmp_path / "a.h5", {"particles": every_kind.place(rows)}, {"particles": values})
    blob = map_blob(read_header(path), "particles")
    assert bytes(blob.buffer) == reference_blob(every_kind, rows, values)
    assert blob.array("image").shape == (rows, 2, 3)
    assert blob.array("scale") == values["scale"]


def test_a_blob_without_bytes_is_a_valid_one(tmp_path, write_events):
    layout = Layout.of(Item("pt", "float32"), Item("mask", "uint8", ItemKind.EIGEN, (3,)))
    path = write_events(tmp_path / "a.h5", {"particles": layout.place(0)}, {})
    for blob in (
        map_blob(read_header(path), "particles"),
        map_blob(read_header(path), "particles", shared=True),
    ):
        assert (len(blob.buffer), blob.address) == (0, 0)
        assert blob.array("mask").shape == (0, 3)


def test_a_map_for_reading_alone_shows_the_files_own_pages_and_takes_no_value(tmp_path, write_events):
    layout = Layout.of(Item("pt", "float32"))
    path = write_events(tmp_path / "a.h5", {"particles": layout.place(3)}, {"particles": {"pt": [1, 2, 3]}})
    private, mapped = (
        map_blob(read_header(path), "particles", read_only=read_only) for read_only in (False, True)
    )
    private.array("pt")[0] = 5.0
    map_blob(read_header(path), "particles", shared=True).array("pt")[0] = 7.0
    assert (private.array("pt")[0], mapped.array("pt")[0]) == (5.0, 7.0)
    with pytest.raises(ValueError, match="read-only"):
        mapped.array("pt")[0] = 9.0


def test_a_file_without_collections_is_a_valid_one(tmp_path, write_events):
    assert read_header(write_events(tmp_path / "a.h5", {}, {})).collections == {}


@pytest.mark.parametrize("alignment", [8, 64, 128, 256, 4096])
def test_blobs_are_aligned_in_the_file_and_in_memory(tmp_path, alignment, write_events):
    layout = Layout.of(Item("charge", "int8"), Item("pt", "float64"), alignment=alignment)
    placements = {name: layout.place(rows) for name, rows in (("first", 3), ("second", 100), ("third", 1))}
    header = read_header(write_events(tmp_path / "a.h5", placements, {}))
    for name in placements:
        assert header.collection(name).file_offset % alignment == 0
        for shared in (False, True):
            assert map_blob(header, name, shared=shared).address % alignment == 0


@pytest.mark.parametrize(("items", "collections"), [(300, 1), (15, 20), (2, 300), (1200, 1)])
def test_the_metadata_of_many_items_lie_in_front_of_the_data(tmp_path, items, collections, write_events):
    layout = Layout(tuple(Item(f"a_rather_long_item_name_{i}", "float32", unit="GeV") for i in range(items)))
    placements = {f"collection_{index}": layout.place(2) for index in range(collections)}
    header = read_header(write_events(tmp_path / "a.h5", placements, {}))
    assert tuple(header.collections) == tuple(placements)
    starts = [stored.file_offset for stored in header.collections.values()]
    blob_bytes = layout.place(2).blob_bytes
    assert starts == list(range(starts[0], starts[0] + collections * blob_bytes, blob_bytes))


def test_long_texts_fit_into_the_metadata(tmp_path, values_of, reference_blob):
    layout = Layout(tuple(Item(f"item_{i}", "float32", unit="µ" * 5000) for i in range(30)))
    values = values_of(layout, 3, 1)
    with writing(
        tmp_path / "a.h5", EVENTS, {"particles": layout.place(3)}, {"origin": "é" * 100_000}
    ) as writer:
        for name, held in values.items():
            writer.write("particles", name, held)
    assert stored_bytes(tmp_path / "a.h5", "particles") == reference_blob(layout, 3, values)
    assert read_header(tmp_path / "a.h5").attributes == {"origin": "é" * 100_000}
    assert read_header(tmp_path / "a.h5").collection("particles").placement.layout == layout


def resident_kilobytes(path: Path) -> int:
    """Return the memory that this process has touched of its maps of a file, from /proc/self/smaps."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split()[0]
        if not first.endswith(":"):
            inside = line.endswith(str(path))
        elif inside and first == "Rss:":
            total += int(line.split()[1])
    return total


def test_opening_and_mapping_ten_million_rows_touches_no_data(tmp_path):
    layout = Layout.of(Item("pt", "float32"), Item("eta", "float32"), Item("phi", "float32"))
    path = tmp_path / "large.h5"
    with writing(path, EVENTS, {"particles": layout.place(10**7)}, {}):
        pass
    start, size = read_header(path).collection("particles").file_offset, path.stat().st_size
    os.truncate(path, start)
    os.truncate(path, size)
    assert path.stat().st_blocks * 512 < 1 << 20 < size
    blob = map_blob(read_header(path), "particles")
    assert len(blob.buffer) == layout.place(10**7).blob_bytes > 119_000_000
    assert resident_kilobytes(path) == 0
    pt = blob.array("pt")
    assert resident_kilobytes(path) == 0
    assert pt[5_000_000] == 0.0
    assert resident_kilobytes(path) > 0


def test_writes_to_a_private_map_stay_private_and_to_a_shared_one_reach_the_file(tmp_path, write_events):
    layout = Layout.of(Item("pt", "float32"))
    path = write_events(tmp_path / "a.h5", {"jets": layout.place(3)}, {"jets": {"pt": [1.0, 2.0, 3.0]}})
    header = read_header(path)
    map_blob(header, "jets").array("pt")[1] = 99.0
    assert by_name(path, "jets", layout["pt"], 3).tolist() == [1.0, 2.0, 3.0]
    map_blob(header, "jets", shared=True).array("pt")[1] = 99.0
    assert by_name(path, "jets", layout["pt"], 3).tolist() == [1.0, 99.0, 3.0]


def test_a_file_that_goes_or_shrinks_after_its_header_was_read_is_not_mapped(tmp_path, write_events):
    layout = Layout.of(Item("pt", "float32"))
    path = write_events(tmp_path / "a.h5", {"jets": layout.place(5000)}, {})
    header = read_header(path)
    os.truncate(path, path.stat().st_size - 4096)
    with pytest.raises(StorageError, match=r"a\.h5 has shrunk since it was opened"):
        map_blob(header, "jets")
    path.unlink()
    with pytest.raises(StorageError, match=r"a\.h5 cannot be mapped into memory: No such file"):
        map_blob(header, "jets")


@pytest.mark.parametrize(
    ("name", "values", "start"),
    [
        ("pt", [1.0, 2.0, 3.0], 0),
        ("pt", [1.0], 2),
        ("pt", [1.0], -1),
        ("pt", 1.0, 0),
        ("pt", [[1.0]], 0),
        ("mask", [1, 2], 0),
        ("mask", [[1, 2]], 0),
        ("image", [[1, 2, 3]], 0),
        ("image", [[[1, 2], [3, 4], [5, 6]]], 0),
        ("scale", [1.0], 0),
        ("scale", 1.0, 1),
    ],
)
def test_values_that_do_not_fit_leave_no_file(tmp_path, every_kind, name, values, start):
    with (
        pytest.raises(ValueError, match=f"'particles/{name}' of 2 rows"),
        writing(tmp_path / "a.h5", EVENTS, {"particles": every_kind.place(2)}, {}) as writer,
    ):
        writer.write("particles", name, values, start)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("dtype", "values", "sentence"),
    [
        ("int32", np.array([1, 2**31]), "the value 2147483648 does not fit item 'jets/n' of int32"),
        ("int32", np.array([-(2**31) - 1, 0]), "the value -2147483649 does"),
        ("int64", np.array([2**63, 0], np.uint64), "the value 9223372036854775808 does"),
        ("uint64", np.array([0, -1]), "the value -1 does"),
        ("uint8", np.array([-1, 0], np.int8), "the value -1 does"),
        ("bool", np.array([0, 2]), "the value 2 does"),
        ("int32", np.array([1.0, 2.5]), "float64 values do not fit item 'jets/n' of int32"),
        ("int64", np.array([1, np.nan], np.float32), "float32 values do"),
        ("bool", [0.0, 1.0], "float64 values do"),
    ],
)
def test_values_that_the_dtype_cannot_hold_are_refused(tmp_path, dtype, values, sentence):
    layout = Layout.of(Item("n", dtype))
    with (
        pytest.raises(ValueError, match=sentence),
        writing(tmp_path / "a.h5", EVENTS, {"jets": layout.place(2)}, {}) as writer,
    ):
        writer.write("jets", "n", values)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("int32", np.array([-(2**31), 2**31 - 1])),
        ("uint8", np.array([0, 255])),
        ("bool", np.array([0, 1])),
        ("int8", np.array([True, False])),
        ("float32", np.array([0.1, 1e-50])),
        ("int32", []),
    ],
)
def test_values_that_the_dtype_can_hold_are_cast(tmp_path, dtype, values):
    item = Item("n", dtype)
    with writing(tmp_path / "a.h5", EVENTS, {"jets": Layout.of(item).place(len(values))}, {}) as writer:
        writer.write("jets", "n", values)
    found = by_name(tmp_path / "a.h5", "jets", item, len(values))
    np.testing.assert_array_equal(found, np.asarray(values).astype(dtype), strict=True)


def test_collections_that_cannot_share_a_file_are_refused(tmp_path):
    item = Item("pt", "float32")
    mixed = {"a": Layout.of(item).place(1), "b": Layout.of(item, alignment=64).place(1)}
    with pytest.raises(LayoutError, match="need one alignment, and these have a 128, b 64"):
        writing(tmp_path / "a.h5", EVENTS, mixed, {}).__enter__()
    with pytest.raises(LayoutError, match="collection name 'a/b' is not an identifier"):
        writing(tmp_path / "a.h5", EVENTS, {"a/b": Layout.of(item).place(1)}, {}).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_collection_or_kind_that_is_not_there_is_named(tmp_path, every_kind, write_events):
    path = write_events(tmp_path / "a.h5", {"particles": every_kind.place(1)}, {})
    with pytest.raises(StorageError, match=r"a\.h5 has no collection 'jets': it has particles"):
        read_header(path).collection("jets")
    with pytest.raises(StorageError, match=r"a\.h5 holds events, not predictions"):
        read_header(path, PREDICTIONS)


def test_two_writers_of_one_path_do_not_mix(tmp_path):
    layout, path = Layout.of(Item("pt", "float32")), tmp_path / "a.h5"
    with writing(path, EVENTS, {"jets": layout.place(4)}, {"writer": "outer"}) as outer:
        outer.write("jets", "pt", [1.0, 1.0], 0)
        with writing(path, EVENTS, {"jets": layout.place(4)}, {"writer": "inner"}) as inner:
            inner.write("jets", "pt", [2.0] * 4)
        assert read_header(path).attributes == {"writer": "inner"}
        assert by_name(path, "jets", layout["pt"], 4).tolist() == [2.0] * 4
        outer.write("jets", "pt", [1.0, 1.0], 2)
    assert read_header(path).attributes == {"writer": "outer"}
    assert by_name(path, "jets", layout["pt"], 4).tolist() == [1.0] * 4
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.h5"]


@pytest.mark.parametrize("way", ["writing", "mapping_new"])
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_writer_leaves_no_file_that_looks_whole(tmp_path, way, sent):
    script = f"""
import sys, time
from soaflow.soa.layout import Item, Layout
from soaflow.soa.storage import EVENTS, {way}
layout = Layout.of(Item("pt", "float32"))
with {way}(sys.argv[1], EVENTS, {{"jets": layout.place(1000)}}, {{}}):
    print("half", flush=True)
    time.sleep(600)
"""
    path = tmp_path / "a.h5"
    with subprocess.Popen(
        [*INTERRUPTIBLE, sys.executable, "-c", script, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as writer:
        assert writer.stdout.readline() == b"half\n"
        writer.send_signal(sent)
        writer.communicate()
    assert not path.exists()
    assert all(entry.name.startswith(".") for entry in tmp_path.iterdir())
    if sent == signal.SIGINT:
        assert list(tmp_path.iterdir()) == []
    with writing(path, EVENTS, {"jets": Layout.of(Item("pt", "float32")).place(2)}, {}):
        pass
    assert read_header(path).collection("jets").placement.rows == 2


def test_a_failed_writer_leaves_the_earlier_file(tmp_path, every_kind, write_events):
    path = write_events(tmp_path / "a.h5", {"particles": every_kind.place(1)}, {})
    before = path.read_bytes()
    for way in (writing, mapping_new):
        with (
            pytest.raises(ZeroDivisionError),
            way(path, EVENTS, {"particles": every_kind.place(9)}, {}),
        ):
            raise ZeroDivisionError
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.h5"]


def test_a_full_disk_is_a_sentence_at_every_byte_of_the_file(small_disk, every_kind):
    layout = every_kind
    outcomes = []
    for kilobytes in range(4, 200, 12):
        with small_disk(kilobytes) as folder:
            try:
                with writing(folder / "a.h5", EVENTS, {"particles": layout.place(900)}, {}):
                    pass
                outcomes.append("written")
            except OutputError as error:
                assert "a.h5 cannot be written: No space left on device; free space" in str(error)  # noqa: PT017
                assert list(folder.iterdir()) == []
                outcomes.append("refused")
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {"refused", "written"}


@pytest.mark.parametrize("way", ["writing", "mapping_new"])
@pytest.mark.parametrize("limit", [1000, 50_000, 150_000])
def test_a_limit_of_file_size_is_a_sentence(tmp_path, way, limit):
    script = f"""
import resource, sys
from soaflow.errors import OutputError
from soaflow.soa.layout import Item, Layout
from soaflow.soa.storage import EVENTS, {way}
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    with {way}(sys.argv[1], EVENTS, {{"jets": Layout.of(Item("pt", "float32")).place(50000)}}, {{}}):
        pass
except OutputError as error:
    print(error)
"""
    path = tmp_path / "a.h5"
    run = subprocess.run([sys.executable, "-c", script, path], check=True, capture_output=True, text=True)
    assert run.stdout == f"{path} cannot be written: File too large; free space or choose another folder\n"
    assert list(tmp_path.iterdir()) == []
