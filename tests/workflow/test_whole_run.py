"""Whole runs: what comes out, that it comes out the same twice, and that no events are events too."""

import copy
import json
import shutil
from pathlib import Path

import h5py
import pytest

from soaflow.cpu import this_cpu
from soaflow.files import sha256_of_file
from soaflow.lineage.record import Provenance
from soaflow.passport import read_passport

pytestmark = pytest.mark.workflow

SEED_OF_ONE_IMAGE = 1
"""The toy's first event has exactly one image."""

REPRODUCIBLE = (
    "events",
    "weights",
    "programs",
    "artifacts",
    "training",
    "differences",
    "invariance",
    "pairs",
    "decisions",
    "verdicts",
)


def digests(checkout, folders):
    """The SHA-256 of every file, by its path below results; of a passport, that of its reproducible part."""
    results = checkout.folder / "results"
    return {
        str(path.relative_to(results)): sha256_of_file(path) if passport is None else passport.digest()
        for folder in folders
        for path in sorted((results / folder).rglob("*"))
        if path.is_file()
        for passport in [passport_in(path)]
    }


def passport_in(path):
    """The passport that a file is, or None."""
    if not path.name.endswith((".pt.json", ".pt2.json")):
        return None
    return read_passport(path.with_name(path.name.removesuffix(".json")))


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
        "artifacts/SimpleNet.float32.native.balanced.pt2",
        "artifacts/SimpleNet.float32.native.balanced.pt2.json",
        "predictions/toy/1/SimpleNet.aot_b7.h5",
        "predictions/toy/1/SimpleNet.aot_b7.proof.json",
        "differences/toy/1/SimpleNet.aot_b7.json",
        "invariance/toy/SimpleNet.aot.json",
        "pairs/toy/SimpleNet.json",
        "decisions/toy/SimpleNet.aot_b7.json",
        "verdicts/toy/SimpleNet.aot_b7.json",
        "verdicts/passed.txt",
        "provenance.json",
        "report/decisions/JetTagger.svg",
        "report/verdicts.html",
        "report/performance/SimpleNet.svg",
        "report/invariance/SimpleNet.svg",
        "report/speed/SimpleNet.brief.svg",
        "report/latency/SimpleNet.brief.svg",
        "report/starts/Scaled.brief.svg",
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


def test_variants_that_differ_in_batch_size_alone_are_timed_once(finished):
    speed = json.loads((finished.folder / "results/speed/SimpleNet.brief.json").read_text())
    assert speed["in_turn"] == ["eager", "jit", "aot"]
    assert not (finished.folder / "results/speed/JetTagger.brief.json").exists()
    assert speed["rows"] in {entry["rows"] for entry in speed["by_rows"]}
    for entry in speed["by_rows"]:
        assert all(proof["threads_seen"] == 1 for proof in entry["proof"].values())


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

    pairs = [Provenance.read(each.folder / "results/provenance.json") for each in (finished, again)]
    assert pairs[0].jobs == pairs[1].jobs
    assert pairs[0].codes == pairs[1].codes
    kept = [{name: file for name, file in one.files.items() if not file.measured} for one in pairs]
    assert kept[0] == kept[1]
    assert "results/speed/Scaled.brief.json" not in kept[0]
    assert "results/predictions/toy/0/Scaled.jit.h5" in kept[0]


def test_the_provenance_ties_a_verdict_to_the_root_file_through_proven_links(finished):
    provenance = Provenance.read(finished.folder / "results/provenance.json")
    assert [job.rule for job in provenance.jobs if job.unproven] == []
    assert all(file.as_made for file in provenance.files.values())
    assert {file.kind for file in provenance.files.values()}.isdisjoint({"other"})
    done = finished.run(["-m", "soaflow"], "why", "results/verdicts/ttbar/JetTagger.jit.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sources      resources/nano_tt_v15.root" in done.stdout
    assert "by train: model JetTagger" in done.stdout
    assert "CHANGED" not in done.stdout
    text = (finished.folder / "results/provenance.json").read_text()
    assert str(finished.folder) not in text


def test_another_workflow_imports_this_one_with_its_own_configuration_and_paths(finished, consumer):
    done = consumer.snakemake()
    assert done.returncode == 0, done.stderr
    assert "localrules directive" not in done.stderr, "a module's local rules have other names"
    assert (consumer.folder / "count.txt").read_text() == "2\n"
    assert not (consumer.folder / "results").exists()
    alone, imported = finished.folder / "results", consumer.folder / "tagger"
    made = [
        path.relative_to(imported)
        for folder in ("events/ttbar", "weights", "artifacts", "predictions/ttbar", "verdicts/ttbar")
        for path in (imported / folder).rglob("*")
        if path.is_file() and not path.name.endswith((".pt.json", ".proof.json"))
    ]
    assert len(made) == 9
    assert [name for name in made if (imported / name).read_bytes() != (alone / name).read_bytes()] == []
    provenance = Provenance.read(imported / "provenance.json")
    assert provenance.makers["tagger/weights/JetTagger.pt"].rule == "soaflow_train"
    assert provenance.makers["resources/nano_tt_v15.root"].rule == "skim"
    again = consumer.snakemake("--dry-run")
    assert "Nothing to be done" in again.stderr + again.stdout


def test_a_passport_ties_an_artifact_to_its_training_data_and_its_code(finished):
    results = finished.folder / "results"
    origin = read_passport(results / "artifacts/SimpleNet.float32.native.balanced.pt2").description.origin
    assert origin["weights_sha256"] == sha256_of_file(results / "weights/SimpleNet.pt")
    assert origin["program_sha256"] == sha256_of_file(results / "programs/SimpleNet.float32.pt2")
    assert origin["weights"]["source"] == "trained"
    assert origin["weights"]["files"] == {
        f"toy/{shard}.h5": sha256_of_file(results / f"events/toy/{shard}.h5") for shard in (0, 1)
    }
    assert origin["weights"]["training"] == finished.config["models"]["SimpleNet"]["training"]
    assert {key for key in origin if key.endswith("code_sha256")} == {
        "model_code_sha256",
        "export_code_sha256",
        "build_code_sha256",
    }
    jit = read_passport(results / "artifacts/Scaled.float32.pt").description.origin
    assert jit["weights"] == {"source": "initial"}


def level_3(config):
    """The configuration with one model, as the fat artifact of one level."""
    if this_cpu().level < 3:
        pytest.skip("target x86-64-v3 is above this CPU: the fat artifact was not tried")
    config = copy.deepcopy(config)
    config["targets"] = ["x86-64-v3"]
    config["variants"] = {"aot_fat": {"backend": "aot", "target": "fat", "batch_size": 64}}
    config["models"] = {"SimpleNet": config["models"]["SimpleNet"]}
    return config


def test_a_fat_variant_is_portable(make_checkout, test_config, tmp_path):
    checkout = make_checkout(tmp_path / "checkout", level_3(test_config))
    done = checkout.snakemake("results/verdicts/passed.txt")
    assert done.returncode == 0, done.stderr
    results = checkout.folder / "results"
    fat = read_passport(results / "artifacts/SimpleNet.float32.fat.balanced.pt2")
    assert fat.description.targets == ("x86-64-v3",)
    if shutil.which("qemu-x86_64") is None:
        pytest.skip("qemu-x86_64 is not installed: portability was not tried")
    done = checkout.snakemake("results/portability/SimpleNet.passed.txt")
    assert done.returncode == 0, done.stderr
    bits = json.loads(
        (results / "portability/SimpleNet.float32.x86-64-v3.reproducible.bits.json").read_text()
    )
    assert bits["passed"]
    assert bits["rows"] > 100
    assert bits["outputs"][0]["tolerance"] == {"absolute": 0.0, "relative": 0.0}
    assert bits["outputs"][0]["differences"]["mean_absolute"] == 0.0


def test_profiles_are_measured_and_drawn(make_checkout, test_config, tmp_path):
    config = copy.deepcopy(test_config)
    config["models"] = {"SimpleNet": config["models"]["SimpleNet"]}
    checkout = make_checkout(tmp_path / "checkout", config)
    done = checkout.snakemake("results/report/profiles/SimpleNet.float32.native.svg")
    assert done.returncode == 0, done.stderr
    figures = json.loads((checkout.folder / "results/profiles/SimpleNet.float32.native.json").read_text())
    assert set(figures["calls"]) == {"1", "16", "256", "4096"}
    assert set(figures["recommended"]) == {*figures["calls"], "shard"}
    for rows, choice in figures["recommended"].items():
        times = figures["shard"][str(choice["chunk"])] if rows == "shard" else figures["calls"][rows]
        assert times[choice["profile"]]["median"] <= 1.06 * min(one["median"] for one in times.values())


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
    config["models"]["SimpleNet"]["physics"] = [
        {
            "name": "large",
            "kind": "score",
            "output": "sum",
            "working_points": [{"name": "loose", "threshold": 10}],
            "truth": {"collection": "images", "item": "image_class", "equals": 1},
            "tolerances": {"flips": 0},
        }
    ]
    checkout = make_checkout(tmp_path / "checkout", config)
    done = checkout.snakemake()
    assert done.returncode == 0, done.stderr
    verdict = json.loads((checkout.folder / "results/verdicts/toy/SimpleNet.aot_b7.json").read_text())
    assert verdict["rows"] == images
    assert verdict["passed"]


def test_a_failed_verdict_fails_the_run_and_names_the_rows(make_checkout, test_config, tmp_path):
    config = copy.deepcopy(test_config)
    config["models"] = {"SimpleNet": config["models"]["SimpleNet"] | {"variants": ["eager"]}}
    config["tolerances"]["float32"] = {"absolute": 0.0, "relative": 0.0}
    config["models"]["SimpleNet"]["physics"][0]["tolerances"] = {"bias_shift": 0.0}
    checkout = make_checkout(tmp_path / "checkout", config)
    done = checkout.snakemake("results/verdicts/passed.txt")
    assert done.returncode != 0
    assert "SimpleNet" in done.stderr
    assert "row" in done.stderr
    assert "bias shift of pt_response" in done.stderr
    assert not Path(checkout.folder, "results/verdicts/passed.txt").exists()
    assert Path(checkout.folder, "results/verdicts/summary.tsv").exists()
