"""What is submitted, where it runs, and what is shown of it when it fails."""

from pathlib import Path

import pytest
import yaml
from slurm.farm import PROFILE, RESULTS, TARGET, Snakemake, files_below, slurm, submissions

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("farm")]


def test_short_jobs_share_a_submission_with_the_cores_and_memory_of_one(checkout, expected):
    run = Snakemake(checkout, TARGET, "--slurm-keep-successful-logs")
    assert run.ends() == 0, run.screen
    [submission] = submissions(checkout.folder)
    assert submission.state == "COMPLETED"
    starts = Path(submission.fields["StdOut"]).read_text().count("Building DAG of jobs...")
    assert starts == 2  # it would be one more for each of the three jobs if the nodes did not know the groups
    assert submission.node in {"n1", "n2"}
    assert submission.cores == 1
    assert submission.megabytes == 2000
    assert submission.fields["TimeLimit"] == "00:05:00"  # two inferences of 2 minutes, one comparison of 1
    assert "TresPerJob" not in submission.fields
    assert files_below(checkout.folder, *RESULTS) == expected


def test_without_its_cores_setting_the_profile_would_ask_for_all_cores_together(checkout):
    profile = checkout.folder / PROFILE / "config.yaml"
    settings = yaml.safe_load(profile.read_text())
    del settings["cores"]
    profile.write_text(yaml.safe_dump(settings))
    assert Snakemake(checkout, TARGET, "--retries", "0").ends() != 0
    [refused] = submissions(checkout.folder)  # no node has two cores
    assert refused.fields["Reason"] == "BadConstraints"
    assert refused.cores == 2
    assert refused.megabytes == 4000


def test_a_failing_job_is_tried_again_and_its_log_is_shown_with_its_path(checkout, gate):
    gate.breaks()
    run = Snakemake(checkout, TARGET, "--retries", "1")
    assert run.ends() != 0
    first, second = submissions(checkout.folder)
    assert (first.state, second.state) == ("FAILED", "FAILED")
    assert first.fields["TimeLimit"] == "00:05:00"
    assert second.fields["TimeLimit"] == "00:10:00"
    assert gate.reached() == {first.number, second.number}
    log = "results/logs/infer/toy/0/Held.{}.log"
    shown, summary = run.screen.split("\nFailed for good:\n")
    written = [
        path for path in map(log.format, ("eager", "reference")) if (checkout.folder / path).stat().st_size
    ]
    assert len(written) == 1  # the first of two inferences, of which the other never began
    text = (checkout.folder / written[0]).read_text()
    assert "the fault that the test has planted" in text
    assert text.strip() in shown
    assert f"  {written[0]}: soaflow: error: model Held" in summary
    for failed in (first, second):
        kept = checkout.folder / failed.fields["StdOut"]
        assert str(kept) in run.screen
        assert kept.exists()
    assert not (checkout.folder / TARGET).exists()


def test_after_a_failure_is_mended_the_same_command_goes_on(checkout, gate, expected):
    gate.breaks()
    assert Snakemake(checkout, TARGET, "--retries", "0").ends() != 0
    gate.mend()
    again = Snakemake(checkout, TARGET)
    assert again.ends() == 0, again.screen
    assert [one.state for one in submissions(checkout.folder)] == ["FAILED", "COMPLETED"]
    assert files_below(checkout.folder, *RESULTS) == expected


def with_gpu_partition(text):
    """A profile with its commented lines on GPUs made real."""
    line = "    # slurm_partition: gpu\n"
    assert text.count(line) == text.count("_on_gpu:\n") > 0
    return text.replace(line, line.replace("# ", ""))


def test_requests_for_gpus_reach_the_partition_that_the_profile_names(checkout):
    profile = checkout.folder / PROFILE / "config.yaml"
    profile.write_text(with_gpu_partition(profile.read_text()))
    run = Snakemake(checkout, "results/predictions/toy/0/Held.eager_gpu.h5", "--retries", "0")
    assert run.ends() != 0
    assert "variant 'eager_gpu' needs an NVIDIA GPU, and this machine shows none" in run.screen
    [submission] = submissions(checkout.folder)
    assert submission.fields["Comment"] == "rule_inference_on_gpu_infer_on_gpu"
    assert submission.fields["Partition"] == "gpu"
    assert submission.node == "n3"
    assert submission.fields["TresPerJob"] == "gres:gpu:1"
    assert submission.cores == 1
    assert submission.megabytes == 4000


def test_a_job_sees_the_gpus_that_it_asked_for_and_no_others():
    bound = [
        slurm("srun", "--partition=gpu", *ask, "printenv", "CUDA_VISIBLE_DEVICES")
        for ask in [["--gpus=1"], ["--gpus=2"]]
    ]
    assert [line.strip() for line in bound] == ["0", "0,1"]
    assert slurm("srun", "sh", "-c", "echo ${CUDA_VISIBLE_DEVICES-none}").strip() == "none"


def test_a_gpu_where_the_profile_names_none_is_refused_when_submitted(checkout):
    run = Snakemake(checkout, "results/predictions/toy/0/Held.eager_gpu.h5", "--retries", "0")
    assert run.ends() != 0
    [refused] = submissions(checkout.folder)
    assert refused.fields["Reason"] == "BadConstraints"
    assert (
        "Failed for good:\n  Inference: Held as eager_gpu on toy, shard 0: no log of it says why"
        in run.screen
    )
