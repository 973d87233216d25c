"""The whole workflow twice, on other shards and cores: what `make reproduce` does, as small as it can be."""

import copy

import pytest

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def reproduced(make_checkout, test_config, tmp_path_factory):
    """What was printed, and the folder of both runs."""
    config = copy.deepcopy(test_config)
    config["models"]["SimpleNet"]["variants"] = ["eager"]
    checkout = make_checkout(tmp_path_factory.mktemp("reproduce") / "checkout", config)
    folder = checkout.folder.parent / "reproduced"
    done = checkout.run(
        *(["workflow/reproduce.py"], "--folder", folder, "--models", "SimpleNet"),
        *("--targets", "results/verdicts/passed.txt"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, folder


def table(text):
    """By kind: both digests, and how many are equal, expected to differ, different and missing."""
    rows = [line.rsplit(maxsplit=6) for line in text.splitlines()]
    return {row[0].strip(): row[1:] for row in rows if len(row) == 7 and len(row[1]) == len(row[2]) == 12}


def test_training_on_other_cores_and_in_another_order_gives_the_same_bytes(reproduced):
    until_weights, _, _ = reproduced[0].partition("== second run on other shards")
    found = table(until_weights)
    assert found.keys() == {"events", "event files", "weights", "origins", "learning curves"}
    assert all(first == second and counts[1:] == ["0", "0", "0"] for first, second, *counts in found.values())


def test_other_shards_give_the_same_rows(reproduced):
    _, _, whole = reproduced[0].partition("== second run on other shards")
    found = table(whole)
    for kind in ("events", "weights", "origins", "outcomes"):
        assert found[kind][0] == found[kind][1], kind
    assert found["event files"][3] == "3"
    assert all(row[4:] == ["0", "0"] for row in found.values())
    assert "expected: event files toy/2.h5 (the same rows in other shards)" in whole
    assert "pairs of jobs ended in another order" in whole


def test_nobodys_results_were_touched(reproduced):
    _, folder = reproduced
    assert sorted(path.name for path in folder.iterdir()) == ["first", "second"]
    assert not (folder.parent / "checkout/results").exists()
