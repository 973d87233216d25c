import awkward as ak
import numpy as np
import pytest
import uproot

from soaflow.errors import EventSourceError
from soaflow.events import root_files
from soaflow.events.root_files import Trees


@pytest.fixture
def path(tmp_path, write_root):
    lists = ak.Array([[1.5, 2.5], [], [3.5]] * 50)
    branches = {"Jet_pt": ak.values_astype(lists, np.float32), "run": np.arange(150, dtype=np.uint32)}
    return write_root(tmp_path / "a.root", branches, basket=40)


def test_entries_and_types(path):
    with Trees("Events") as trees:
        assert trees.entries(path) == 150
        tree = trees.open(path)
        assert tree.branch_type("Jet_pt") == root_files.BranchType(np.dtype("float32"), jagged=True)
        assert tree.branch_type("run") == root_files.BranchType(np.dtype("uint32"), jagged=False)
        assert "run" in tree
        assert "Jet_mass" not in tree
        assert trees.open(path) is tree


@pytest.mark.parametrize(("start", "stop"), [(0, 150), (7, 101), (39, 41), (5, 6)])
@pytest.mark.parametrize("chunk_bytes", [1, 500, 2**24])
def test_chunks_cover_the_entries_once(path, monkeypatch, start, stop, chunk_bytes):
    monkeypatch.setattr(root_files, "CHUNK_BYTES", chunk_bytes)
    with Trees("Events") as trees:
        chunks = list(trees.open(path).chunks(["Jet_pt", "run"], start, stop))
    assert [entry for entries, _ in chunks for entry in entries] == list(range(start, stop))
    if chunk_bytes == 500:
        assert max(len(entries) for entries, _ in chunks) < 100
    run = np.concatenate([values["run"].values for _, values in chunks])
    np.testing.assert_array_equal(run, np.arange(start, stop))
    counts = np.concatenate([values["Jet_pt"].counts for _, values in chunks])
    np.testing.assert_array_equal(counts, np.array([2, 0, 1] * 50)[start:stop])
    pt = np.concatenate([values["Jet_pt"].values for _, values in chunks])
    expected = [x for entry in ([[1.5, 2.5], [], [3.5]] * 50)[start:stop] for x in entry]
    assert (pt.tolist(), pt.dtype) == (expected, np.float32)


def test_no_entries_and_no_branches(path):
    with Trees("Events") as trees:
        assert list(trees.open(path).chunks(["run"], 3, 3)) == []
        assert list(trees.open(path).chunks([], 3, 5)) == [(range(3, 5), {})]


def fails(path, sentence, tree="Events"):
    with Trees(tree) as trees:
        with pytest.raises(EventSourceError, match=sentence) as caught:
            trees.entries(str(path))
        assert "\n" not in str(caught.value)
        with pytest.raises(EventSourceError, match=sentence):
            trees.open(str(path))


def test_missing_file(tmp_path):
    fails(tmp_path / "none.root", "none.root is not there")


def test_missing_tree(path):
    fails(path, "has no tree 'Runs': it has Events", tree="Runs")


def test_an_rntuple_is_not_a_tree(tmp_path):
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mkrntuple("Events", {"x": np.arange(3)})
    fails(tmp_path / "a.root", "'Events' is a ROOT::RNTuple, and soaflow reads a TTree")


@pytest.mark.parametrize("content", [b"", b"root", b"no ROOT file" * 100, b"\x89HDF\r\n\x1a\n" + bytes(1000)])
def test_other_files(tmp_path, content):
    (tmp_path / "a.root").write_bytes(content)
    fails(tmp_path / "a.root", "a.root is (damaged or not a ROOT file|truncated)")


@pytest.mark.parametrize("kept", [100, 1_000, 100_000, 1_400_000, 2_876_000, 2_876_916])
def test_truncated_file(tmp_path, real_file, kept):
    (tmp_path / "a.root").write_bytes(real_file.read_bytes()[:kept])
    fails(tmp_path / "a.root", "a.root is (damaged or not a ROOT file|truncated)")


def test_damaged_values(tmp_path, real_file):
    with uproot.open({real_file: None}) as file:
        branch = file["Events"]["Jet_pt"]
        seek, size = branch.member("fBasketSeek")[0], branch.member("fBasketBytes")[0]
    content = bytearray(real_file.read_bytes())
    content[seek + 80 : seek + size] = bytes(size - 80)
    (tmp_path / "a.root").write_bytes(content)
    with Trees("Events") as trees:
        tree = trees.open(str(tmp_path / "a.root"))
        with pytest.raises(EventSourceError, match=r"a\.root is damaged"):
            list(tree.chunks(["Jet_pt"], 0, 200))
        assert list(tree.chunks(["Jet_eta"], 0, 200))


def test_missing_branch_names_the_nearest(real_file):
    with Trees("Events") as trees:
        tree = trees.open(str(real_file))
        with pytest.raises(EventSourceError, match="no branch 'Jet_ptt': the nearest are Jet_pt"):
            tree.branch_type("Jet_ptt")
        with pytest.raises(EventSourceError, match="no branch 'qqqqqqqq': and none of a similar name"):
            tree.branch_type("qqqqqqqq")


def test_a_branch_of_arrays_is_refused(tmp_path):
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mktree("Events", {"matrix": ("float32", (3,))})
        file["Events"].extend({"matrix": np.zeros((2, 3), np.float32)})
    with Trees("Events") as trees:
        tree = trees.open(str(tmp_path / "a.root"))
        with pytest.raises(EventSourceError, match=r"branch 'matrix' holds .*: name a branch of numbers"):
            tree.branch_type("matrix")
