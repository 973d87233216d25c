import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from soaflow.errors import StorageError
from soaflow.soa.layout import Item, Layout
from soaflow.soa.repack import repack
from soaflow.soa.storage import read_header

ROWS = 500


@pytest.fixture
def events(tmp_path, every_kind, values_of, write_events) -> Path:
    """A sound file of two collections."""
    others = Layout.of(Item("x", "float32"), Item("y", "float32"), Item("charge", "int8"))
    placements = {"particles": every_kind.place(ROWS), "others": others.place(3)}
    values = {name: values_of(p.layout, p.rows, 11) for name, p in placements.items()}
    return write_events(tmp_path / "events.h5", placements, values)


def replace_dataset(path: Path, name: str, **properties) -> None:
    with h5py.File(path, "r+") as file:
        dataset = file.create_dataset("made", data=file[name][...], **properties)
        dataset.attrs.update(file[name].attrs)
        del file[name]
        file.move("made", name)


def store_elsewhere(path: Path) -> None:
    """Put a dataset's bytes into a file of their own, as HDF5's external storage."""
    with h5py.File(path, "r+") as file:
        data = file["particles/pt"][...]
        del file["particles/pt"]
        data.tofile(path.with_suffix(".raw"))
        external = [(str(path.with_suffix(".raw")), 0, data.nbytes)]
        file.create_dataset("particles/pt", data.shape, data.dtype, external=external)


def store_virtually(path: Path) -> None:
    other = path.with_name("other.h5")
    with h5py.File(path, "r+") as file, h5py.File(other, "w") as aside:
        aside["pt"] = file["particles/pt"][...]
        sources = h5py.VirtualLayout(aside["pt"].shape, aside["pt"].dtype)
        sources[:] = h5py.VirtualSource(aside["pt"])
        del file["particles/pt"]
        file.create_virtual_dataset("particles/pt", sources)


def link_to_another_file(path: Path) -> None:
    other = shutil.copy(path, path.with_name("other.h5"))
    with h5py.File(path, "r+") as file:
        del file["particles/pt"]
        file["particles/pt"] = h5py.ExternalLink(str(other), "/particles/pt")


def link_a_group_to_another_file(path: Path) -> None:
    other = shutil.copy(path, path.with_name("other.h5"))
    with h5py.File(path, "r+") as file:
        del file["particles"]
        file["particles"] = h5py.ExternalLink(str(other), "/particles")


def swap_datasets(path: Path) -> None:
    """Give two items of one dtype each other's names."""
    with h5py.File(path, "r+") as file:
        file.move("others/x", "aside")
        file.move("others/y", "others/x")
        file.move("aside", "others/y")


def store_compactly(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        data = file["others/x"][...]
        del file["others/x"]
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple(data.shape)
        stored_type = h5py.h5t.py_create(data.dtype)
        dataset = h5py.Dataset(h5py.h5d.create(file["others"].id, b"x", stored_type, space, properties))
        dataset[...] = data


def copy_with_h5py(path: Path) -> None:
    """Do what h5repack does: copy every object to wherever HDF5 likes."""
    copied = path.with_name("copied.h5")
    with h5py.File(path) as source, h5py.File(copied, "w") as destination:
        destination.attrs.update(source.attrs)
        for name in source:
            source.copy(name, destination)
    copied.replace(path)


def copy_with_h5repack(path: Path) -> None:
    copied = path.with_name("copied.h5")
    if shutil.which("h5repack"):
        subprocess.run(["h5repack", path, copied], check=True)
        copied.replace(path)
    else:
        copy_with_h5py(path)


def add_an_attribute(path: Path) -> None:
    """Open the file to write, which makes HDF5 cut it after its last value."""
    with h5py.File(path, "r+") as file:
        file.attrs["note"] = 1


REPACKABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "chunked": (
        lambda path: replace_dataset(path, "particles/pt", chunks=(100,)),
        "dataset 'particles/pt' is chunked and cannot be mapped",
    ),
    "compressed": (
        lambda path: replace_dataset(path, "particles/image", compression="gzip"),
        "dataset 'particles/image' is compressed (gzip) and cannot be mapped",
    ),
    "moved": (
        lambda path: replace_dataset(path, "particles/mask"),
        "dataset 'particles/mask' was moved by another tool",
    ),
    "swapped": (swap_datasets, "dataset 'others/y' was moved by another tool"),
    "external storage": (store_elsewhere, "dataset 'particles/pt' is not stored in one piece"),
    "virtual": (store_virtually, "dataset 'particles/pt' is not stored in one piece"),
    "external link": (link_to_another_file, "dataset 'particles/pt' is not stored in one piece"),
    "linked group": (link_a_group_to_another_file, "'particles/selected' is not stored in one piece"),
    "compact": (store_compactly, "dataset 'others/x' is not stored in one piece"),
    "copied": (copy_with_h5py, "by another tool"),
    "h5repack": (copy_with_h5repack, "by another tool"),
    "opened to write": (add_an_attribute, "has lost the padding after collection 'others'"),
}


@pytest.mark.parametrize("name", REPACKABLE)
def test_a_rewritten_file_is_refused_with_the_command_that_mends_it(events, name):
    before = events.read_bytes()
    spoil, sentence = REPACKABLE[name]
    spoil(events)
    with pytest.raises(StorageError) as caught:
        read_header(events)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith(str(events))
    assert f"rewrite the file with 'soaflow repack {events} OUT'" in str(caught.value)
    repack(events, events.with_name("mended.h5"))
    mended = events.with_name("mended.h5").read_bytes()
    if name == "swapped":
        assert read_header(events.with_name("mended.h5")).collections
    else:
        assert mended == before


def set_attribute(name: str, value: object, group: str = "/") -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            if value is None:
                del file[group].attrs[name]
            else:
                file[group].attrs[name] = value

    return change


def change_layout(change: Callable[[list], object]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            entries = json.loads(file["particles"].attrs["layout"])
            file["particles"].attrs["layout"] = json.dumps(change(entries) or entries)

    return apply


def remove(name: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            del file[name]

    return change


def replace_with(name: str, make: Callable[[h5py.File], object]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            del file[name]
            made = make(file)
            if made is not None:
                file[name] = made

    return change


def cut(share: float) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return change


def foreign_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["pt"] = [1.0, 2.0]


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "cannot be read: No such file or directory"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "cannot be read: Is a directory"),
    "empty": (lambda path: path.write_bytes(b""), "is empty: write it again"),
    "text": (lambda path: path.write_text("pt eta phi\n"), "is not a readable HDF5 file"),
    "zeros": (lambda path: path.write_bytes(bytes(10_000)), "is not a readable HDF5 file"),
    "half": (cut(0.5), "is truncated: write it again"),
    "cut in the metadata": (cut(0.01), "is truncated: write it again"),
    "without its last values": (lambda p: p.write_bytes(p.read_bytes()[:-140]), "is truncated"),
    "foreign": (foreign_hdf5, "is an HDF5 file but not one of soaflow's"),
    "kind unknown": (set_attribute("soaflow", "bananas"), "is an HDF5 file but not one of soaflow's"),
    "kind missing": (set_attribute("soaflow", None), "is an HDF5 file but not one of soaflow's"),
    "kind an array": (set_attribute("soaflow", [1, 2]), "the description is damaged"),
    "newer version": (set_attribute("schema_version", 2), "has schema version 2, and this soaflow reads"),
    "no version": (set_attribute("schema_version", None), "has schema version None"),
    "no index": (set_attribute("index", None, "particles"), "the description is damaged"),
    "no layout": (set_attribute("layout", None, "particles"), "of collection 'particles' is damaged"),
    "layout no JSON": (set_attribute("layout", "[{", "particles"), "of collection 'particles' is damaged"),
    "layout no list": (change_layout(lambda _: {"a": 1}), "of collection 'particles' is damaged"),
    "layout with a bad item": (
        change_layout(lambda items: items[0].update(dtype="float33")),
        "of collection 'particles' is damaged (item 'selected' has dtype 'float33'",
    ),
    "layout with other dtype": (
        change_layout(lambda items: items[1].update(dtype="int32")),
        "the layout of collection 'particles' does not match its SHA-256",
    ),
    "alignment changed": (set_attribute("alignment", 64, "particles"), "does not match its SHA-256"),
    "alignment impossible": (set_attribute("alignment", 100, "particles"), "is damaged (alignment 100"),
    "rows negative": (set_attribute("rows", -1, "particles"), "is damaged (-1 rows"),
    "rows infinite": (set_attribute("rows", float("inf"), "particles"), "'particles' is damaged"),
    "rows an array": (set_attribute("rows", [3, 4], "particles"), "'particles' is damaged"),
    "rows too many": (
        set_attribute("rows", ROWS + 1, "particles"),
        f"dataset 'particles/selected' has shape ({ROWS},), and its layout says ({ROWS + 1},)",
    ),
    "dataset gone": (remove("particles/pt"), "dataset 'particles/pt', which its layout names, is not there"),
    "group in its place": (
        replace_with("particles/pt", lambda file: file.create_group("particles/pt") and None),
        "dataset 'particles/pt', which its layout names, is not there",
    ),
    "dataset as a collection": (
        replace_with("particles", lambda _: np.zeros(3)),
        "the description is damaged",
    ),
    "dangling link": (
        replace_with("particles/pt", lambda _: h5py.SoftLink("/nowhere")),
        "dataset 'particles/pt'",
    ),
    "dangling collection": (
        replace_with("particles", lambda _: h5py.ExternalLink("nowhere.h5", "/particles")),
        "the description is damaged",
    ),
    "other shape": (
        replace_with("particles/pt", lambda _: np.zeros(7, "float32")),
        f"dataset 'particles/pt' has shape (7,), and its layout says ({ROWS},)",
    ),
    "other dtype": (
        replace_with("particles/pt", lambda _: np.zeros(ROWS, "float64")),
        "dataset 'particles/pt' has dtype float64, and its layout says float32",
    ),
    "other byte order": (
        replace_with("particles/pt", lambda _: np.zeros(ROWS, ">f4")),
        "dataset 'particles/pt' has dtype >f4, and its layout says float32",
    ),
    "texts for numbers": (
        replace_with("particles/pt", lambda _: ["a"] * ROWS),
        "dataset 'particles/pt' has dtype object",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_a_sentence_that_names_it(events, name):
    spoil, sentence = BAD[name]
    spoil(events)
    with pytest.raises(StorageError) as caught:
        read_header(events)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith(str(events))
    with pytest.raises(StorageError) as caught:
        repack(events, events.with_name("mended.h5"))
    assert sentence in str(caught.value)
    assert not events.with_name("mended.h5").exists()


def test_the_sound_file_of_these_tests_is_sound(events):
    assert set(read_header(events).collections) == {"particles", "others"}


def test_random_damage_to_the_metadata_is_refused_or_harmless(events):
    """Run in a process of its own, because HDF5 itself may end the process on a damaged file."""
    start = min(stored.file_offset for stored in read_header(events).collections.values())
    whole, numbers, spoilt = events.read_bytes(), random.Random(5), []
    used = [index for index in range(start) if whole[index]]
    for number in range(150):
        content = bytearray(whole)
        for index in numbers.sample(used, 3):
            content[index] ^= 1 << numbers.randrange(8)
        spoilt.append(events.with_name(f"spoilt_{number}.h5"))
        spoilt[-1].write_bytes(content)
    script = """
import sys
from soaflow.errors import StorageError
from soaflow.soa.storage import map_blob, read_header
refused = 0
for path in sys.argv[1:]:
    try:
        header = read_header(path)
    except StorageError:
        refused += 1
        continue
    for name in header.collections:
        map_blob(header, name)
print(refused)
"""
    run = subprocess.run([sys.executable, "-c", script, *spoilt], check=True, capture_output=True, text=True)
    assert int(run.stdout) > 50
