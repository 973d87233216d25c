import json
import subprocess
import sys

import numpy as np
import pytest

from soaflow.errors import EventSourceError, OutputError
from soaflow.events import shards, toy
from soaflow.events.branches import BranchItem, NanoaodCollection
from soaflow.events.datasets import TOY_ITEMS, NanoaodDataset, ToyDataset
from soaflow.events.shards import write_shard
from soaflow.files import sha256_of_file
from soaflow.soa.layout import Item
from soaflow.soa.storage import EVENTS, read_header

ALL = tuple(TOY_ITEMS)


def jets(path, shard_count=1):
    collection = NanoaodCollection("jets", (BranchItem(Item("pt", "float32", unit="GeV"), "Jet_pt"),))
    return NanoaodDataset("tt", shard_count, (str(path),), "CMS", "Events", (collection,))


def test_a_toy_file_holds_its_plan(tmp_path, read_items):
    dataset = ToyDataset("toy", 7, 9000, 2, ALL, alignment=256)
    write_shard(dataset, 1, tmp_path / "deep" / "1.h5")
    header = read_header(tmp_path / "deep" / "1.h5", EVENTS)
    assert header.attributes == {
        "dataset": "toy",
        "source": "toy",
        "origin": "soaflow's toy generator",
        "seed": 7,
        "shard": 1,
        "shards": 2,
        "first_event": 4500,
        "events": 4500,
    }
    layouts = {name: stored.placement.layout for name, stored in header.collections.items()}
    assert layouts == dataset.layouts()
    items = read_items(header.path)
    plan = toy.plan_toy(dataset, 1)
    for name, values in plan.scalars.items():
        for item, value in values.items():
            assert items[name][item] == np.float32(value)
    starts = dict.fromkeys(plan.placements, 0)
    for chunk in plan.chunks:
        for name, columns in chunk.items():
            for item, values in columns.items():
                stored = items[name][item][starts[name] : starts[name] + len(values)]
                np.testing.assert_array_equal(stored, values, err_msg=f"{name}/{item}")
            starts[name] += len(values)
    assert starts == {name: placement.rows for name, placement in plan.placements.items()}


@pytest.mark.parametrize("events", [0, 1, 5000])
def test_bytes_repeat(tmp_path, events):
    dataset = ToyDataset("toy", 7, events, 1, ALL)
    write_shard(dataset, 0, tmp_path / "first.h5")
    code = (
        "import sys; from soaflow.events.datasets import *; from soaflow.events.shards import write_shard; "
        f"write_shard(ToyDataset('toy', 7, {events}, 1, {ALL}), 0, sys.argv[1]); "
        "assert not {'torch', 'uproot', 'awkward'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "second.h5"], check=True)
    assert sha256_of_file(tmp_path / "first.h5") == sha256_of_file(tmp_path / "second.h5")


def test_bytes_of_a_root_shard_repeat_whatever_the_folder(tmp_path, real_file):
    copy = tmp_path / "elsewhere" / real_file.name
    copy.parent.mkdir()
    copy.write_bytes(real_file.read_bytes())
    for name, path in (("first", real_file), ("second", copy)):
        write_shard(jets(path), 0, tmp_path / f"{name}.h5")
    assert sha256_of_file(tmp_path / "first.h5") == sha256_of_file(tmp_path / "second.h5")
    attributes = read_header(tmp_path / "first.h5", EVENTS).attributes
    assert json.loads(attributes["files"]) == [real_file.name]
    assert str(real_file.parent).encode() not in (tmp_path / "first.h5").read_bytes()


@pytest.mark.parametrize("shard", [-1, 2])
def test_no_such_shard(tmp_path, shard):
    with pytest.raises(EventSourceError, match=f"'toy' has no shard {shard}: choose 0 to 1"):
        write_shard(ToyDataset("toy", 7, 5, 2, ALL), shard, tmp_path / "x.h5")
    assert not list(tmp_path.iterdir())


def test_a_source_that_breaks_off_leaves_nothing(tmp_path, monkeypatch):
    plan = toy.plan_toy(ToyDataset("toy", 7, 9000, 1, ("particles",)), 0)
    chunks = iter(plan.chunks)

    def two_of_three():
        yield next(chunks)
        yield next(chunks)
        raise EventSourceError("the source broke off")

    broken_plan = type(plan)(plan.placements, plan.attributes, plan.scalars, two_of_three())
    monkeypatch.setattr(shards, "plan_toy", lambda *_: broken_plan)
    with pytest.raises(EventSourceError, match="broke off"):
        write_shard(ToyDataset("toy", 7, 9000, 1, ("particles",)), 0, tmp_path / "x.h5")
    assert not list(tmp_path.iterdir())


def test_a_source_that_gives_too_few_rows_is_a_bug_that_is_seen(tmp_path, monkeypatch):
    plan = toy.plan_toy(ToyDataset("toy", 7, 9000, 1, ("particles",)), 0)
    short_plan = type(plan)(plan.placements, plan.attributes, plan.scalars, list(plan.chunks)[:-1])
    monkeypatch.setattr(shards, "plan_toy", lambda *_: short_plan)
    with pytest.raises(RuntimeError, match="planned"):
        write_shard(ToyDataset("toy", 7, 9000, 1, ("particles",)), 0, tmp_path / "x.h5")
    assert not list(tmp_path.iterdir())


def test_output_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_shard(ToyDataset("toy", 7, 5, 1, ALL), 0, tmp_path / "file" / "x.h5")
