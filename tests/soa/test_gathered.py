"""Predictions of several shards under one name: what is shown, moved, missed and refused."""

import shutil

import h5py
import numpy as np
import pytest

from soaflow.errors import StorageError
from soaflow.soa.gathered import gather, read_gathered
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.repack import repack
from soaflow.soa.storage import PREDICTIONS, map_blob, read_header, writing

LAYOUT = Layout.of(
    Item("energy", "float32", unit="GeV"),
    Item("scores", "float32", ItemKind.EIGEN, (3,)),
    Item("cells", "int16", ItemKind.EIGEN, (2, 3)),
    Item("label", "int32"),
)
ROWS = (5, 0, 40)


def values_of(rows, seed):
    random = np.random.default_rng(seed)
    return {
        item.name: random.integers(1, 99, (rows, *item.shape)).astype(item.dtype) for item in LAYOUT.items
    }


def write_shard(path, rows, seed, layout=LAYOUT, **said):
    attributes = {"dataset": "toy", "shard": str(seed), "model": "Net", "variant": "aot", **said}
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path, PREDICTIONS, {"predictions": layout.place(rows)}, attributes) as writer:
        for name, values in values_of(rows, seed).items():
            if name in layout:
                writer.write("predictions", name, values)
    return path


@pytest.fixture
def shards(tmp_path):
    return [
        write_shard(tmp_path / "toy" / str(seed) / "Net.aot.h5", rows, seed, events_sha256=f"e{seed}")
        for seed, rows in enumerate(ROWS)
    ]


@pytest.fixture
def gathered(shards, tmp_path):
    path = tmp_path / "toy" / "Net.aot.h5"
    gather(shards, path)
    return path


EXPECTED = {
    name: np.concatenate([values_of(rows, seed)[name] for seed, rows in enumerate(ROWS)])
    for name in LAYOUT.names
}


def shown(path):
    """All rows as plain h5py shows them, rows first."""
    with h5py.File(path) as file:
        group = file["predictions"]
        return {name: group[name][..., : sum(ROWS)].T for name in LAYOUT.names}


def assert_shows_all(path):
    for name, values in shown(path).items():
        np.testing.assert_array_equal(values, EXPECTED[name])


def test_h5py_reads_all_rows_by_one_name_and_no_value_is_copied(gathered):
    assert_shows_all(gathered)
    assert gathered.stat().st_size < 2**14
    with h5py.File(gathered) as file:
        assert all(file["predictions"][name].is_virtual for name in LAYOUT.names)
        assert file["predictions/energy"].attrs["unit"] == b"GeV"


def test_a_changed_value_of_a_shard_is_seen(gathered, shards):
    map_blob(read_header(shards[2]), "predictions", shared=True).array("energy")[0] = 1234
    assert shown(gathered)["energy"][ROWS[0]] == 1234


def test_the_folder_can_be_moved_as_a_whole(gathered, monkeypatch, tmp_path):
    moved = tmp_path / "elsewhere" / "set"
    moved.parent.mkdir()
    gathered.parent.rename(moved)
    assert_shows_all(moved / gathered.name)
    monkeypatch.chdir(moved.parent)
    assert_shows_all("set/Net.aot.h5")
    assert read_gathered("set/Net.aot.h5") is not None


def test_what_it_says_of_itself(gathered):
    found = read_gathered(gathered)
    assert found.description.attributes == {"dataset": "toy", "model": "Net", "variant": "aot"}
    assert found.description.placements["predictions"] == LAYOUT.place(sum(ROWS))
    told = [(one.shard, one.events_sha256, one.file, one.rows) for one in found.shards]
    assert told == [(str(i), f"e{i}", f"{i}/Net.aot.h5", rows) for i, rows in enumerate(ROWS)]


def test_a_file_of_its_own_is_not_gathered(shards):
    assert read_gathered(shards[0]) is None


def test_the_same_shards_give_the_same_bytes(gathered, shards, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(gathered.parent, copy)
    gather([copy / path.relative_to(gathered.parent) for path in shards], copy / "again.h5")
    assert (copy / "again.h5").read_bytes() == gathered.read_bytes()


def test_repacked_it_is_a_file_of_its_own(gathered, tmp_path):
    with pytest.raises(StorageError, match="not stored in one piece in the file: rewrite the file with"):
        read_header(gathered)
    repack(gathered, tmp_path / "whole.h5")
    blob = map_blob(read_header(tmp_path / "whole.h5", PREDICTIONS), "predictions")
    for name, values in EXPECTED.items():
        np.testing.assert_array_equal(blob.array(name), values)


def test_a_missing_shard_is_refused_and_not_read_as_fill_values(gathered, shards, tmp_path):
    shards[2].unlink()
    energies = shown(gathered)["energy"]  # what HDF5 itself gives, without a word
    assert np.isnan(energies[ROWS[0] :]).all()
    for use in (read_gathered, lambda path: repack(path, tmp_path / "whole.h5")):
        with pytest.raises(StorageError, match=r"rows of .*/2/Net\.aot\.h5, which is not there or cannot be"):
            use(gathered)
    assert not (tmp_path / "whole.h5").exists()


@pytest.mark.parametrize(
    ("rows", "said", "telling"),
    [
        (39, {}, "which has become another"),
        (41, {}, "which has become another"),
        (40, {"events_sha256": "of others"}, "is another than .* was made of"),
    ],
)
def test_a_shard_that_has_become_another_is_refused(gathered, shards, rows, said, telling):
    write_shard(shards[2], rows, 2, **{"events_sha256": "e2", **said})
    with pytest.raises(StorageError, match=telling):
        read_gathered(gathered)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n and no more"])
def test_a_damaged_shard_is_refused(gathered, shards, content):
    shards[2].write_bytes(content)
    with pytest.raises(StorageError, match="not there or cannot be read"):
        read_gathered(gathered)


@pytest.mark.parametrize(
    ("said", "layout", "telling"),
    [
        ({"variant": "jit"}, LAYOUT, "is of another variant"),
        ({"weights_sha256": "other"}, LAYOUT, "is of another weights_sha256"),
        ({}, Layout(LAYOUT.items[:2]), "has other items"),
    ],
)
def test_shards_of_different_runs_are_refused(shards, tmp_path, said, layout, telling):
    other = write_shard(tmp_path / "other.h5", 3, 3, layout, **said)
    with pytest.raises(StorageError, match=telling):
        gather([*shards, other], tmp_path / "all.h5")
    assert not (tmp_path / "all.h5").exists()


def test_no_shards_doubled_shards_and_scalars_are_refused(shards, tmp_path):
    with pytest.raises(StorageError, match="no shards to gather"):
        gather([], tmp_path / "all.h5")
    with pytest.raises(StorageError, match="named twice"):
        gather([*shards, shards[0]], tmp_path / "all.h5")
    scalar = write_shard(tmp_path / "s.h5", 3, 3, Layout.of(Item("scale", "float32", ItemKind.SCALAR)))
    with pytest.raises(StorageError, match="has the scalar 'scale', one value a shard"):
        gather([scalar], tmp_path / "all.h5")


def test_a_damaged_list_of_shards_is_refused(gathered):
    with h5py.File(gathered, "r+") as file:
        file.attrs["soaflow_shards"] = b'[{"shard": "0"}]'
    with pytest.raises(StorageError, match="list of shards is damaged"):
        read_gathered(gathered)


def test_a_folder_with_a_percent_sign_is_no_pattern(tmp_path):
    shard = write_shard(tmp_path / "100%b" / "Net.aot.h5", 5, 0)
    gather([shard], tmp_path / "all.h5")
    with h5py.File(tmp_path / "all.h5") as file:
        np.testing.assert_array_equal(file["predictions/label"][:], values_of(5, 0)["label"])
    assert read_gathered(tmp_path / "all.h5").shards[0].file == "100%b/Net.aot.h5"
