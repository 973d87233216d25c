"""Faults at every stage: nothing half written is taken for whole, and the same command mends all.

These are the few of every day; `make faults` injects as many as are asked for, see docs/faults.md.
"""

import re
from random import Random

import pytest
from faults.attacks import ATTACKS, Scene, change_input, ended, fill_disk, kill
from faults.campaign import Campaign, finished_run
from faults.jobs import checkout_at, copy_of, read_jobs
from faults.outcomes import HarmError, Tally
from faults.runs import RUN_ATTACKS, Run, kill_group
from faults.whole import leftovers, wrong_files

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(3600)]

TARGETS = (
    "results/verdicts/passed.txt",
    "results/report/verdicts.html",
    "results/report/pipeline.svg",
    "results/report/learning_curves/SimpleNet.svg",
    "results/report/physics/SimpleNet.reco_pt.svg",
    "results/report/differences/SimpleNet.svg",
    "results/report/invariance/SimpleNet.svg",
    "results/report/decisions/SimpleNet.svg",
    "results/report/parity/SimpleNet.svg",
    "results/report/performance/SimpleNet.svg",
)
"""What needs every stage but the measurements of speed, which the long campaign has."""

FAULTS_OF_RUNS = 2
LEAST_HITS = 0.5
"""Share of the faults that must have come in time to do harm."""

SEED = 5


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    return finished_run(tmp_path_factory.mktemp("finished") / "checkout", cache, TARGETS)


@pytest.fixture(scope="module")
def jobs(finished):
    return read_jobs(checkout_at(finished), TARGETS)


@pytest.fixture
def scene(finished, jobs, cache, tmp_path):
    """Makes a scene of a copy of the finished run, whose library may be spoiled by replacements."""

    def made(rule, seed, spoiled=(), kind=Scene):
        folder = copy_of(finished, tmp_path / "copy")
        for name, old, new in spoiled:
            path = folder / "src/soaflow" / name
            text = path.read_text()
            assert old in text
            path.write_text(text.replace(old, new))
        chosen = tuple(job for job in jobs if job.rule == rule)
        return kind(finished, folder, chosen[0] if kind is Scene else chosen, Random(seed), 0.3, cache)

    return made


def test_the_targets_need_every_stage(jobs):
    assert {
        "write_events", "train", "take_weights", "export_program", "export_jit", "export_onnx", "export_aot",
        "pack_artifacts", "infer", "measure_differences", "measure_invariance", "measure_pairs",
        "measure_decisions", "judge", "summarize_verdicts", "require_verdicts", "write_verdict_table",
    } <= {job.rule for job in jobs}  # fmt: skip


def test_faults_do_no_harm(finished, jobs, cache, tmp_path):
    with Campaign(finished, jobs, tmp_path, cache, SEED) as campaign:
        campaign.inject(ATTACKS, len(campaign.rules))
        assert campaign.tally.stages == campaign.rules
        campaign.inject(RUN_ATTACKS, FAULTS_OF_RUNS)
    tally = campaign.tally
    print(tally.table())
    assert tally.losses == []
    assert tally.injected == len(campaign.rules) + FAULTS_OF_RUNS
    assert tally.hits >= LEAST_HITS * tally.injected, tally.table()


WRITES_IN_PLACE = (
    "files.py",
    "        with claimed(path) as temporary, _refusals(path):",
    "        temporary = path\n        with _refusals(path):",
)
FORGETS_TO_LOOK = ("files.py", "            require_unchanged()\n", "")
LEAVES_REMAINS = ("claims.py", "        _remove_remains(path, descriptor)\n", "")


def harm_of(scene, attack, rule, spoiled, attempts):
    """What is wrong after the first of some attacks that does harm; empty if none does."""
    for seed in range(attempts):
        found = scene(rule, seed, spoiled)
        try:
            attack(found)
        except HarmError as error:
            return str(error)
        wrong = wrong_files(found.folder, found.undisturbed, complete=False)
        code, screen = ended(found.start())
        assert code == 0, screen
        if wrong := wrong + leftovers(found.folder):
            return "; ".join(wrong)
    return ""


@pytest.mark.parametrize(
    ("attack", "rule", "planted", "harm"),
    [
        (fill_disk, "take_weights", WRITES_IN_PLACE, r"weights/\S+ differs"),
        (change_input, "summarize_verdicts", FORGETS_TO_LOOK, "made of an input that changed under way"),
        (kill, "take_weights", LEAVES_REMAINS, r"\.SimpleNet|\.JetTagger"),
    ],
    ids=["a writer that writes in place", "a job that does not look again", "remains that stay"],
)
def test_a_planted_fault_is_found(scene, attack, rule, planted, harm):
    assert re.search(harm, harm_of(scene, attack, rule, [planted], attempts=20))
    assert harm_of(scene, attack, rule, [], attempts=2) == ""


def test_an_artifact_beside_the_passport_of_another_is_never_run(scene, finished):
    """What a crash between the names of the two leaves, had the artifact been built of other weights."""
    found = scene("infer", 0)
    jobs = read_jobs(checkout_at(found.folder), TARGETS)
    job = next(job for job in jobs if job.rule == "infer" and "SimpleNet.jit" in job.log)
    artifact = found.folder / "results/artifacts/SimpleNet.float32.pt"
    artifact.write_bytes((finished / "results/artifacts/SimpleNet.float32.onnx").read_bytes())
    job.remove_outputs(found.folder)
    code, screen = ended(job.start(found.folder, cache=found.cache))
    assert code == 2
    assert "SimpleNet.float32.pt" in screen
    assert "export it again" in screen
    assert wrong_files(found.folder, finished, complete=False) == ["artifacts/SimpleNet.float32.pt differs"]


def test_the_plain_command_goes_on_after_all_was_killed(scene):
    """No `--rerun-incomplete`: Snakemake's marks are of files that are whole or absent."""
    run = scene("measure_differences", 1, kind=Run)
    run.remove_outputs()
    kill_group(run)
    run.go_on()
    assert wrong_files(run.folder, run.undisturbed, complete=True) == []


def test_what_is_left_behind_is_seen(tmp_path):
    for left in ("results/events/.0.h5.0.writer", "scratch/tmp1234/model.so", "scratch/.soaflow-0.0.writer"):
        (tmp_path / left).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / left).touch()
    for kept in ("torchinductor_root", "snakemake12_45abc", ".ses"):
        (tmp_path / "scratch" / kept).mkdir()
    found = {path.removeprefix(f"{tmp_path}/scratch/") for path in leftovers(tmp_path)}
    assert found == {"events/.0.h5.0.writer", "tmp1234", ".soaflow-0.0.writer"}


def test_a_tally_counts_what_hit():
    tally = Tally()
    for outcome in ("survived", "missed", "lost"):
        tally.add("train", "job killed", outcome)
    tally.add("judge", "disk full", "survived")
    assert tally.table().splitlines() == [
        "| stage | job killed | disk full | all |",
        "| --- | ---: | ---: | ---: |",
        "| judge |  | 1 of 1 | 1 of 1 |",
        "| train | 2 of 3, 1 lost |  | 2 of 3, 1 lost |",
        "| all | 2 of 3, 1 lost | 1 of 1 | 3 of 4, 1 lost |",
    ]
