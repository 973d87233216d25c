"""The default configuration on the farm, and its results beside those of the same run without it."""

import checkouts
import pytest
import yaml
from slurm.farm import BUILD_CACHE, Snakemake, files_below, submissions

REPRODUCIBLE = (
    "events/*/*.h5",
    "weights/*.pt",
    "training/*.tsv",
    "programs/*.pt2",
    "artifacts/*.pt",
    "artifacts/*.pt2",
    "artifacts/*.onnx",
    "predictions/*/*/*.h5",
    "differences/*/*/*.json",
    "invariance/*/*.json",
    "pairs/*/*.json",
    "decisions/*/*.json",
    "verdicts/*/*.json",
    "verdicts/*.tsv",
    "verdicts/passed.txt",
)


@pytest.mark.slurm
@pytest.mark.usefixtures("farm")
@pytest.mark.timeout(2400)
def test_the_default_run_on_the_farm_gives_the_bytes_of_the_local_one(tmp_path, monkeypatch):
    local = checkouts.REPOSITORY / "results"
    assert (local / "verdicts/passed.txt").exists(), (
        "there is no local run to compare with: `make run` makes it"
    )
    if BUILD_CACHE is None:
        monkeypatch.delenv("SOAFLOW_CACHE")
    else:
        monkeypatch.setenv("SOAFLOW_CACHE", BUILD_CACHE)
    config = yaml.safe_load((checkouts.REPOSITORY / "config/config.yaml").read_text())
    checkout = checkouts.make_checkout(tmp_path / "checkout", config)
    run = Snakemake(checkout, polling=5)
    assert run.ends(seconds=2300) == 0, run.screen
    results = checkout.folder / "results"
    here, there = files_below(local, *REPRODUCIBLE), files_below(results, *REPRODUCIBLE)
    assert here.keys() == there.keys()
    assert [name for name in here if here[name] != there[name]] == []
    assert len(there) > 200
    submitted = submissions(checkout.folder)
    assert {one.state for one in submitted} == {"COMPLETED"}
    assert {one.cores for one in submitted} == {1}
    assert max(one.megabytes for one in submitted) <= 3000
    assert len(submitted) <= 60
