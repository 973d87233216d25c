"""Whole runs: what comes out, that it comes out the same twice, and that no events are events too."""

import copy
import json
from pathlib import Path

import h5py
import pytest

from soaflow.files import sha256_of_file

pytestmark = pytest.mark.workflow

SEED_OF_ONE_IMAGE = 1
"""The toy's first event has exactly one image."""

REPRODUCIBLE = ("events", "weights", "programs", "artifacts", "training", "verdicts")


def digests(checkout, folders):
    """The SHA-256 of every file, by its path below results."""
    results = checkout.folder / "results"
    return {
        str(path.relative_to(results)): sha256_of_file(path)
        for folder in folders
        for path in sorted((results / folder).rglob("*"))
        if path.is_file()
    }


def predictions(checkout):
    results = checkout.folder / "results"
    return {str(path.relative_to(results)): path for path in results.glob("predictions/*/*/*.h5")}


def test_every_file_of_the_contract_is_there(finished):
    results = finished.folder / "results"
    for name in (
        "events/toy/0.h5",
        "events/ttbar/0.h5",
        "weights/SimpleNet.pt",
        "training/SimpleNet.tsv",
        "programs/SimpleNet.float32.pt2.json",
        "artifacts/SimpleNet.float32.pt",
        "artifacts/SimpleNet.float32.native.pt2",
        "predictions/toy/1/SimpleNet.aot_b7.h5",
        "predictions/toy/1/SimpleNet.aot_b7.proof.json",
        "verdicts/toy/1/SimpleNet.aot_b7.json",
        "verdicts/passed.txt",
        "report/verdicts.html",
        "report/performance/SimpleNet.svg",
    ):
        assert (results / name).stat().st_size, name


def test_predictions_are_read_by_name_with_plain_h5py(finished):
    results = finished.folder / "results"
    with (
        h5py.File(results / "events/toy/0.h5") as events,
        h5py.File(results / "predictions/toy/0/Scaled.jit.h5") as scaled,
    ):
        rows = events["particles/pt"].shape[0]
        assert rows
        for plane, item in enumerate(("pt", "eta", "phi")):
            assert (scaled["predictions/scaled"][plane, :rows] == 3 * events[f"particles/{item}"][:]).all()


def test_every_job_proves_its_claims(finished):
    proofs = sorted(finished.folder.glob("results/predictions/*/*/*.proof.json"))
    assert proofs
    for path in proofs:
        proof = json.loads(path.read_text())
        assert proof["bytes_copied_in"] == 0, path
        assert proof["threads_seen"] == 1, path


def test_a_second_run_from_scratch_gives_the_same_bytes(finished, make_checkout, test_config, tmp_path):
    again = make_checkout(tmp_path / "elsewhere" / "with-a-longer-path", test_config)
    done = again.snakemake()
    assert done.returncode == 0, done.stderr
    first, second = digests(finished, REPRODUCIBLE), digests(again, REPRODUCIBLE)
    assert first == second
    assert len(first) > 20
    pairs = predictions(finished), predictions(again)
    assert pairs[0].keys() == pairs[1].keys()
    assert [name for name in pairs[0] if pairs[0][name].read_bytes() != pairs[1][name].read_bytes()] == []


@pytest.mark.parametrize(
    ("events", "images"),
    [(0, 0), (1, 1)],
    ids=["no events", "one event with one image"],
)
def test_few_events_pass_every_stage(make_checkout, test_config, tmp_path, events, images):
    config = copy.deepcopy(test_config)
    config["seed"] = SEED_OF_ONE_IMAGE
    config["datasets"]["toy"] |= {"events": events, "shards": 1, "collections": ["images"]}
    del config["datasets"]["ttbar"], config["models"]["JetTagger"], config["models"]["Scaled"]
    config["models"]["SimpleNet"] |= {
        "class": "user_model.py:Pixels",
        "inputs": [{"name": "image", "collection": "images", "items": ["r", "g", "b"]}],
        "outputs": [{"name": "sum", "items": [{"name": "sum", "dtype": "float32"}]}],
    }
    config["models"]["SimpleNet"]["training"]["targets"] = [
        {"output": "sum", "collection": "images", "item": "image_class", "loss": "squared_error"}
    ]
    checkout = make_checkout(tmp_path / "checkout", config)
    done = checkout.snakemake()
    assert done.returncode == 0, done.stderr
    verdict = json.loads((checkout.folder / "results/verdicts/toy/0/SimpleNet.aot_b7.json").read_text())
    assert verdict["rows"] == images
    assert verdict["passed"]


def test_a_failed_verdict_fails_the_run_and_names_the_rows(make_checkout, test_config, tmp_path):
    config = copy.deepcopy(test_config)
    config["models"] = {"SimpleNet": config["models"]["SimpleNet"] | {"variants": ["eager"]}}
    config["tolerances"]["float32"] = {"absolute": 0.0, "relative": 0.0}
    checkout = make_checkout(tmp_path / "checkout", config)
    done = checkout.snakemake("results/verdicts/passed.txt")
    assert done.returncode != 0
    assert "SimpleNet" in done.stderr
    assert "row" in done.stderr
    assert not Path(checkout.folder, "results/verdicts/passed.txt").exists()
    assert Path(checkout.folder, "results/verdicts/summary.tsv").exists()
