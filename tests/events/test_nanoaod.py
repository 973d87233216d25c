import json
from itertools import pairwise
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from soaflow.errors import EventSourceError
from soaflow.events import root_files
from soaflow.events.branches import BranchItem, Cut, NanoaodCollection
from soaflow.events.datasets import NanoaodDataset, dataset_from_mapping
from soaflow.events.shards import write_shard
from soaflow.soa.layout import Item
from soaflow.soa.storage import EVENTS, read_header

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())

PT = BranchItem(Item("pt", "float32", unit="GeV"), "Jet_pt")
GEN_PT = BranchItem(Item("gen_pt", "float32"), "GenJet_pt", "Jet_genJetIdx", -1.0)


def dataset(*files, items=(PT,), selection=(), shards=1, name="jets", more=()):
    collection = NanoaodCollection(name, tuple(items), tuple(selection))
    paths = tuple(str(file) for file in files)
    return NanoaodDataset("tt", shards, paths, "CMS", "Events", (collection, *more))


@pytest.fixture
def convert(tmp_path, read_items):
    """Write one shard and return its items."""

    def run(entry, shard=0):
        path = tmp_path / "written" / f"{entry.shards}-{shard}.h5"
        write_shard(entry, shard, path)
        return read_items(path)

    return run


@pytest.fixture
def refused(tmp_path):
    """Check that a dataset is refused in one sentence, and that no file is left."""

    def check(entry, sentence):
        with pytest.raises(EventSourceError, match=sentence) as caught:
            write_shard(entry, 0, tmp_path / "written" / "x.h5")
        assert "\n" not in str(caught.value)
        assert not list(tmp_path.glob("written/*"))

    return check


@pytest.fixture(scope="module")
def small(tmp_path_factory, write_root):
    """A file of five entries, two of them without jets."""
    branches = {
        "Jet_pt": ak.values_astype(ak.Array([[50, 30], [], [20, 40, 10], [], [25]]), np.float32),
        "Jet_genJetIdx": ak.values_astype(ak.Array([[1, -1], [], [0, 0, -1], [], [2]]), np.int16),
        "GenJet_pt": ak.values_astype(ak.Array([[29, 49], [7], [21], [], [1, 2, 26]]), np.float32),
        "Jet_nMuons": ak.values_astype(ak.Array([[0, 200], [], [1, 2, 3], [], [4]]), np.uint8),
        "Jet_area": ak.values_astype(ak.Array([[0.5, 1e300], [], [1, 2, 3], [], [4]]), np.float64),
        "Muon_pt": ak.values_astype(ak.Array([[], [3, 4], [], [], [5]]), np.float32),
        "run": np.array([1, 1, 2, 2, 2], np.uint32),
        "luminosityBlock": np.array([9, 8, 7, 6, 5], np.uint32),
        "event": np.array([2**40, 11, 12, 13, 14], np.uint64),
    }
    return write_root(tmp_path_factory.mktemp("small") / "small.root", branches)


def test_real_jets_without_selection(real_file, convert):
    with uproot.open({real_file: None}) as file:
        arrays = file["Events"].arrays(["Jet_pt", "Jet_hadronFlavour", "run", "luminosityBlock", "event"])
    items = (PT, BranchItem(Item("flavour", "int32"), "Jet_hadronFlavour"))
    got = convert(dataset(real_file, items=items))
    assert len(got["jets"]["pt"]) == 1636
    np.testing.assert_array_equal(got["jets"]["pt"], ak.to_numpy(ak.flatten(arrays["Jet_pt"])))
    np.testing.assert_array_equal(
        got["jets"]["flavour"], ak.to_numpy(ak.flatten(arrays["Jet_hadronFlavour"])).astype(np.int32)
    )
    counts = ak.to_numpy(ak.num(arrays["Jet_pt"]))
    np.testing.assert_array_equal(got["events"]["jets_count"], counts)
    np.testing.assert_array_equal(got["jets"]["event"], np.repeat(np.arange(200), counts))
    for item, branch in (("run", "run"), ("luminosity_block", "luminosityBlock"), ("event", "event")):
        np.testing.assert_array_equal(got["events"][item], ak.to_numpy(arrays[branch]), strict=True)


def test_the_default_configuration_on_the_real_file(real_file, convert, tmp_path):
    entry = CONFIG["datasets"]["ttbar"] | {"files": [str(real_file)]}
    got = convert(dataset_from_mapping("ttbar", entry, seed=1))
    configured = entry["collections"]["jets"]["items"]
    with uproot.open({real_file: None}) as file:
        names = {item["branch"] for item in configured} | {"Jet_genJetIdx"}
        events = file["Events"].arrays(list(names))
    kept = (events["Jet_pt"] >= 20) & (abs(events["Jet_eta"]) <= 2.5)
    assert 0 < ak.sum(kept) < 1636
    for item in configured:
        if "index" not in item:
            expected = ak.to_numpy(ak.flatten(events[item["branch"]][kept])).astype(item["dtype"])
            np.testing.assert_array_equal(got["jets"][item["name"]], expected, strict=True)
    # The generator jets are looked up in another way here, an event at a time.
    gen_pt = [
        gen[index] if index >= 0 else -1.0
        for gen, indices in zip(
            events["GenJet_pt"].tolist(), events["Jet_genJetIdx"][kept].tolist(), strict=True
        )
        for index in indices
    ]
    np.testing.assert_array_equal(got["jets"]["gen_pt"], np.array(gen_pt, np.float32))
    assert -1 in gen_pt
    np.testing.assert_array_equal(got["events"]["jets_count"], ak.to_numpy(ak.sum(kept, axis=1)))
    attributes = read_header(tmp_path / "written" / "1-0.h5", EVENTS).attributes
    assert {name: attributes[name] for name in ("dataset", "source", "tree", "first_event", "events")} == {
        "dataset": "ttbar",
        "source": "nanoaod",
        "tree": "Events",
        "first_event": 0,
        "events": 200,
    }
    assert attributes["origin"] == entry["origin"]
    assert json.loads(attributes["files"]) == ["nano_tt_v15.root"]
    assert json.loads(attributes["selection"])["jets"][0] == {"item": "pt", "minimum": 20, "maximum": None}
    branches = json.loads(attributes["branches"])
    assert branches["jets"]["eta"] == "Jet_eta"
    assert branches["jets"]["gen_pt"] == {"branch": "GenJet_pt", "index": "Jet_genJetIdx", "missing": -1.0}
    assert branches["events"]["luminosity_block"] == "luminosityBlock"
    layout = read_header(tmp_path / "written" / "1-0.h5").collections["jets"].placement.layout
    assert layout["mass"].unit == "GeV"


def test_bounds_are_accepted_and_index_follows_its_event(small, convert):
    got = convert(dataset(small, items=(PT, GEN_PT), selection=(Cut("pt", 20, 40),)))["jets"]
    assert got["pt"].tolist() == [30, 20, 40, 25]
    assert got["gen_pt"].tolist() == [-1, 21, 21, 26]
    assert got["event"].tolist() == [0, 2, 2, 4]


def test_a_cut_on_an_indexed_item(small, convert):
    got = convert(dataset(small, items=(PT, GEN_PT), selection=(Cut("gen_pt", minimum=0),)))
    assert got["jets"]["pt"].tolist() == [50, 20, 40, 25]
    assert got["jets"]["gen_pt"].tolist() == [49, 21, 21, 26]
    assert got["events"]["jets_count"].tolist() == [1, 0, 2, 0, 1]


def test_collections_have_their_own_rows(small, convert):
    muons = NanoaodCollection("muons", (BranchItem(Item("pt", "float64"), "Muon_pt"),))
    got = convert(dataset(small, selection=(Cut("pt", minimum=1000),), more=(muons,)))
    assert len(got["jets"]["pt"]) == 0
    assert got["events"]["jets_count"].tolist() == [0] * 5
    assert got["muons"]["pt"].tolist() == [3, 4, 5]
    assert got["muons"]["event"].tolist() == [1, 1, 4]
    assert got["events"]["event"].tolist() == [2**40, 11, 12, 13, 14]


@settings(max_examples=20, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 20), max_size=3),
    entries=st.integers(0, 20),
    shards=st.integers(1, 7),
    chunk_bytes=st.sampled_from([1, 100, 2**20]),
    seed=st.integers(0, 9),
)
def test_any_files_and_shards_make_the_same_rows(
    tmp_path_factory, write_root, read_items, join, assert_same, cuts, entries, shards, chunk_bytes, seed
):
    folder = tmp_path_factory.mktemp("files")
    generator = np.random.default_rng(seed)
    counts, gen_counts = generator.integers(0, 4, entries), generator.integers(1, 4, entries)
    branches = {
        "Jet_pt": ak.unflatten(generator.uniform(0, 100, counts.sum()).astype(np.float32), counts),
        "Jet_genJetIdx": ak.unflatten(
            generator.integers(-1, np.repeat(gen_counts, counts)).astype(np.int16), counts
        ),
        "GenJet_pt": ak.unflatten(generator.uniform(0, 100, gen_counts.sum()).astype(np.float32), gen_counts),
        "event": np.arange(entries, dtype=np.uint64),
    }
    edges = sorted({0, entries, *(min(cut, entries) for cut in cuts)}) if entries else [0, 0]
    files = [
        write_root(folder / f"{start}.root", {name: values[start:stop] for name, values in branches.items()})
        for start, stop in pairwise(edges)
    ]
    whole = write_root(folder / "whole.root", branches)
    arguments = {"items": (PT, GEN_PT), "selection": (Cut("pt", minimum=30),)}
    write_shard(dataset(whole, **arguments), 0, folder / "whole.h5")
    expected = read_items(folder / "whole.h5")
    kept = branches["Jet_pt"] >= 30
    np.testing.assert_array_equal(expected["jets"]["pt"], ak.to_numpy(ak.flatten(branches["Jet_pt"][kept])))
    entry = dataset(*files, shards=shards, **arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(root_files, "CHUNK_BYTES", chunk_bytes)
        for shard in range(shards):
            write_shard(entry, shard, folder / f"{shard}.h5")
    parts = [read_items(folder / f"{shard}.h5") for shard in range(shards)]
    assert_same(join(entry, parts), expected)


def test_no_entries(tmp_path, write_root, convert):
    path = write_root(tmp_path / "a.root", {"Jet_pt": ak.values_astype(ak.Array([[1.0]])[:0], np.float32)})
    got = convert(dataset(path, shards=2), 1)
    assert {len(values) for items in got.values() for values in items.values()} == {0}


def test_a_tree_without_event_numbers(tmp_path, write_root, convert):
    jets = ak.values_astype(ak.Array([[1.0], [2.0, 3.0], []]), np.float32)
    path = write_root(tmp_path / "a.root", {"Jet_pt": jets})
    got = convert(dataset(path, shards=2), 1)["events"]
    assert got["event"].tolist() == [1, 2]
    assert got["run"].tolist() == got["luminosity_block"].tolist() == [0, 0]
    attributes = read_header(tmp_path / "written" / "2-1.h5", EVENTS).attributes
    assert json.loads(attributes["branches"])["events"] == {}
    assert attributes["first_event"] == 1


def item(name, branch, dtype="float32", index="", missing=None):
    return BranchItem(Item(name, dtype), branch, index, missing)


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        ((item("pt", "Jet_ptt"),), r"small\.root: tree 'Events' has no branch 'Jet_ptt': .*Jet_pt"),
        ((item("pt", "GenJet_pt", index="Jet_gen", missing=0.0),), "no branch 'Jet_gen'"),
        (
            (item("run", "run"),),
            "branch 'run' has one number in each entry and cannot fill collection 'jets'",
        ),
        ((PT, item("gen_pt", "GenJet_pt")), "branches 'Jet_pt' and 'GenJet_pt' of collection 'jets' differ"),
        ((item("pt", "Jet_pt", "int32"),), "branch 'Jet_pt' has dtype float32, which int32 would truncate"),
        ((item("muons", "Jet_nMuons", "int8"),), "branch 'Jet_nMuons' has the value 200, which int8"),
        ((item("area", "Jet_area"),), "branch 'Jet_area' has the value 1e\\+300, which float32"),
        (
            (item("gen", "GenJet_pt", index="Jet_nMuons", missing=0.0),),
            "branch 'Jet_nMuons' of collection 'jets' has the index 200, and 'GenJet_pt' has 2 values",
        ),
        (
            (item("gen", "GenJet_pt", index="Jet_area", missing=0.0),),
            "branch 'Jet_area' is an index and not of integers",
        ),
        (
            (PT, item("gen", "Jet_pt", index="Muon_pt", missing=0.0)),
            "branch 'Muon_pt' is an index and not of integers",
        ),
    ],
)
def test_what_a_file_cannot_give_is_refused(small, refused, items, sentence):
    refused(dataset(small, items=items), sentence)


def test_an_index_one_beyond_the_last_is_refused(tmp_path, write_root, refused):
    branches = {
        "Jet_pt": ak.values_astype(ak.Array([[1.0], [2.0]]), np.float32),
        "Jet_genJetIdx": ak.values_astype(ak.Array([[1], [0]]), np.int16),
        "GenJet_pt": ak.values_astype(ak.Array([[5.0], [6.0]]), np.float32),
    }
    path = write_root(tmp_path / "a.root", branches)
    refused(dataset(path, items=(PT, GEN_PT)), "has the index 1, and 'GenJet_pt' has 1 values")


def test_event_numbers_must_be_single_integers(tmp_path, write_root, refused):
    jets = ak.values_astype(ak.Array([[1.0], [2.0]]), np.float32)
    jagged = write_root(tmp_path / "a.root", {"Jet_pt": jets, "run": jets})
    refused(dataset(jagged), "branch 'run' has a list in each entry")
    real = write_root(tmp_path / "b.root", {"Jet_pt": jets, "event": np.array([1.0, 2.0])})
    refused(dataset(real), "branch 'event' has dtype float64, which uint64 would truncate")


def test_missing_things(tmp_path, small, write_root, refused):
    refused(dataset(tmp_path / "none.root"), r"none\.root is not there")
    refused(dataset(small, tmp_path / "none.root"), r"none\.root is not there")
    other = write_root(tmp_path / "other.root", {"x": np.arange(3)}, tree="Runs")
    refused(dataset(other), r"other\.root has no tree 'Events': it has Runs")
    second = write_root(tmp_path / "second.root", {"Muon_pt": ak.Array([[1.0]])})
    refused(dataset(small, second), r"second\.root: tree 'Events' has no branch 'Jet_pt'")
    (tmp_path / "bad.root").write_bytes(b"no ROOT file" * 50)
    refused(dataset(tmp_path / "bad.root"), r"bad\.root is damaged or not a ROOT file")


def test_damaged_values_leave_no_file(tmp_path, real_file, refused):
    with uproot.open({real_file: None}) as file:
        branch = file["Events"]["Jet_mass"]
        seek, size = branch.member("fBasketSeek")[0], branch.member("fBasketBytes")[0]
    content = bytearray(real_file.read_bytes())
    content[seek + 80 : seek + size] = bytes(size - 80)
    (tmp_path / "a.root").write_bytes(content)
    items = (PT, item("mass", "Jet_mass"))
    refused(dataset(tmp_path / "a.root", items=items, selection=(Cut("pt", 20),)), r"a\.root is damaged")
