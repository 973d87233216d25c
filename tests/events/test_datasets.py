import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from soaflow.errors import ConfigError
from soaflow.events.datasets import NanoaodDataset, ToyDataset, dataset_from_mapping
from soaflow.soa.layout import Item, ItemKind

CONFIG = yaml.safe_load((Path(__file__).parents[2] / "config" / "config.yaml").read_text())


def toy(**changes):
    entry = {"source": "toy", "events": 10, "shards": 2, "collections": ["particles", "tracks", "hits"]}
    return dataset_from_mapping("toy", entry | changes, seed=1)


def nanoaod(items=None, selection=(), **changes):
    items = items if items is not None else [{"name": "pt", "branch": "Jet_pt", "dtype": "float32"}]
    entry = {
        "source": "nanoaod",
        "files": ["a.root"],
        "origin": "here",
        "collections": {"jets": {"items": items, "selection": list(selection)}},
    }
    return dataset_from_mapping("tt", entry | changes, seed=1)


def test_toy_layouts():
    layouts = dataset_from_mapping("toy", CONFIG["datasets"]["toy"], seed=5, alignment=256).layouts()
    assert list(layouts) == ["events", "particles", "images", "tracks", "hits"]
    assert {layout.alignment for layout in layouts.values()} == {256}
    counts = tuple(Item(f"{name}_count", "int32") for name in ("particles", "images", "tracks", "hits"))
    assert layouts["events"].items == (Item("number", "int64"), *counts)
    assert layouts["particles"].names == ("pt", "eta", "phi", "gen_pt", "particle_class", "mask", "event")
    assert layouts["particles"]["mask"] == Item("mask", "uint8", ItemKind.EIGEN, (3,))
    assert layouts["images"].names == ("r", "g", "b", "image_class", "event")
    assert layouts["images"]["g"] == Item("g", "float32", ItemKind.EIGEN, (9, 9), "GeV")
    assert layouts["tracks"].names == ("pt", "eta", "phi", "gen_pt", "gen_pt_squashed", "event")
    assert layouts["hits"].names == ("x", "y", "z", "track", "event", "scale")
    assert layouts["hits"]["scale"].kind is ItemKind.SCALAR


def test_nanoaod_layouts_of_the_default_configuration():
    dataset = dataset_from_mapping("ttbar", CONFIG["datasets"]["ttbar"], seed=5)
    assert isinstance(dataset, NanoaodDataset)
    layouts = dataset.layouts()
    identity = (Item("run", "uint32"), Item("luminosity_block", "uint32"), Item("event", "uint64"))
    assert layouts["events"].items == (*identity, Item("jets_count", "int32"))
    entries = CONFIG["datasets"]["ttbar"]["collections"]["jets"]["items"]
    assert layouts["jets"].names == (*(entry["name"] for entry in entries), "event")
    assert layouts["jets"]["pt"] == Item("pt", "float32", unit="GeV")
    assert layouts["jets"]["event"] == Item("event", "int32")
    gen_pt = dataset.collections[0].item("gen_pt")
    assert (gen_pt.branch, gen_pt.index, gen_pt.missing) == ("GenJet_pt", "Jet_genJetIdx", -1.0)
    assert dataset.collections[0].selection[1].minimum == -2.5


def test_defaults():
    dataset = nanoaod()
    assert (dataset.shards, dataset.tree, dataset.alignment) == (1, "Events", 128)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: toy(events=-1), "events is -1"),
        (lambda: toy(shards=0), "shards is 0"),
        (lambda: toy(events=2**33), "events is 8589934592 in 2 shards"),
        (lambda: toy(collections=["hits"]), "'hits' without 'tracks'"),
        (lambda: toy(collections=["particles", "particles"]), "'particles' twice"),
        (lambda: toy(collections=["muons"]), "'muons', which the toy does not generate"),
        (lambda: toy(source="pythia"), "source is 'pythia'"),
        (lambda: ToyDataset("toy", -1, 1, 1, ()), "seed -1"),
        (lambda: ToyDataset("toy", 2**64, 1, 1, ()), "seed 18446744073709551616"),
        (lambda: ToyDataset("toy", 1, 1, 1, (), alignment=100), "alignment 100"),
        (lambda: nanoaod(files=[]), "files is empty"),
        (lambda: nanoaod(files=["a.root", "a.root"]), "a.root twice"),
        (lambda: nanoaod(shards=0), "shards is 0"),
        (lambda: nanoaod(items=[]), "collections.jets.items is empty"),
        (
            lambda: nanoaod(items=[{"name": "pt", "branch": "x", "dtype": "half"}]),
            "collections.jets.items: item 'pt' has dtype 'half'",
        ),
        (lambda: nanoaod(items=[{"name": "event", "branch": "x", "dtype": "int32"}]), "soaflow adds itself"),
        (lambda: nanoaod(items=[{"name": "pt", "branch": "x", "dtype": "int32"}] * 2), "'pt' stands twice"),
        (
            lambda: nanoaod(items=[{"name": "pt", "branch": "x", "dtype": "int32", "index": "i"}]),
            "item 'pt' has only one of the keys index and missing",
        ),
        (
            lambda: nanoaod(
                items=[{"name": "n", "branch": "x", "dtype": "uint8", "index": "i", "missing": -1}]
            ),
            "missing -1, which uint8 cannot hold",
        ),
        (
            lambda: nanoaod(
                items=[{"name": "n", "branch": "x", "dtype": "int32", "index": "i", "missing": 0.5}]
            ),
            "missing 0.5, which int32 cannot hold",
        ),
        (
            lambda: nanoaod(
                items=[{"name": "n", "branch": "x", "dtype": "float32", "index": "i", "missing": 1e300}]
            ),
            "which float32 cannot hold",
        ),
        (lambda: nanoaod(selection=[{"item": "eta", "minimum": 0}]), "'eta', which is not in the collection"),
        (lambda: nanoaod(selection=[{"item": "pt"}]), "has no bound"),
        (
            lambda: nanoaod(selection=[{"item": "pt", "minimum": 2, "maximum": 1}]),
            "minimum above its maximum",
        ),
        (
            lambda: nanoaod(collections={"events": {"items": []}}),
            "collections.events is made by soaflow",
        ),
    ],
)
def test_what_does_not_fit_is_a_sentence_with_the_key(make, sentence):
    with pytest.raises(ConfigError, match=sentence.replace("(", r"\(")):
        make()


def test_no_heavy_import():
    code = (
        "import sys, soaflow.events.datasets; "
        "print(sorted({'numpy', 'torch', 'h5py', 'uproot', 'awkward'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
