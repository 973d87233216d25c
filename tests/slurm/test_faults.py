"""Cancelled jobs, dead nodes, a Snakemake that is killed: the run ends well, with an undisturbed run's bytes.

Each test asserts that its fault has happened before it asks how the run ended.
"""

import signal
import subprocess

import pytest
from slurm.farm import (
    ACTIVE,
    RESULTS,
    TARGET,
    Snakemake,
    documented_commands,
    files_below,
    kill_node,
    slurm,
    submissions,
    wait_until,
)

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("farm")]


def run_until_held(checkout, gate, running=1):
    """Start Snakemake, and return it when its job is inside the model."""
    gate.hold()
    run = Snakemake(checkout, TARGET)
    wait_until(lambda: run.process.poll() is not None or len(gate.reached()) == running, "a job that is held")
    assert run.process.poll() is None, run.screen
    return run, submissions(checkout.folder)[-1]


def shell(checkout, commands):
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=checkout.folder,
        env=checkout.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_cancelled_job_is_submitted_again(checkout, gate, expected):
    run, held = run_until_held(checkout, gate)
    slurm("scancel", held.number)
    wait_until(lambda: submissions(checkout.folder)[0].state == "CANCELLED", "the job is cancelled")
    assert not (checkout.folder / TARGET).exists()
    gate.open()
    assert run.ends() == 0, run.screen
    assert held.fields["StdOut"] in run.screen
    assert [one.state for one in submissions(checkout.folder)] == ["CANCELLED", "COMPLETED"]
    assert files_below(checkout.folder, *RESULTS) == expected


def test_the_job_of_a_dead_node_goes_on_elsewhere(farm, checkout, gate, expected):
    run, held = run_until_held(checkout, gate)
    try:
        assert kill_node(held.node) > 3  # its daemon, a step's daemon, and Snakemake at least
        wait_until(
            lambda: slurm("sinfo", "--noheader", f"--nodes={held.node}", "--format=%t").startswith("down"),
            "the node is down",
        )
        gate.open()
        assert run.ends() == 0, run.screen
        [survivor] = submissions(checkout.folder)
        assert survivor.number == held.number
        assert survivor.fields["Restarts"] == "1"
        assert survivor.state == "COMPLETED"
        assert survivor.node != held.node
        assert files_below(checkout.folder, *RESULTS) == expected
    finally:
        subprocess.run([farm, "up"], check=True)


def test_an_interrupted_snakemake_cancels_its_jobs_and_the_same_command_goes_on(checkout, gate, expected):
    run, _ = run_until_held(checkout, gate)
    run.send(signal.SIGINT)
    assert run.ends() != 0
    wait_until(lambda: submissions(checkout.folder)[0].state == "CANCELLED", "the job is cancelled")
    assert not (checkout.folder / TARGET).exists()
    gate.open()
    again = Snakemake(checkout, TARGET)
    assert again.ends() == 0, again.screen
    assert [one.state for one in submissions(checkout.folder)] == ["CANCELLED", "COMPLETED"]
    assert files_below(checkout.folder, *RESULTS) == expected


def killed_until_orphaned(checkout, gate):
    """Kill Snakemake, and return its job, which runs on."""
    run, orphan = run_until_held(checkout, gate)
    run.send(signal.SIGKILL)
    assert run.ends() == -signal.SIGKILL
    assert submissions(checkout.folder)[0].state == "RUNNING"
    refused = Snakemake(checkout, TARGET)
    assert refused.ends() != 0
    assert "--unlock" in refused.screen
    assert len(submissions(checkout.folder)) == 1
    return orphan


def test_after_snakemake_is_killed_the_documented_commands_go_on(checkout, gate, expected):
    orphan = killed_until_orphaned(checkout, gate)
    done = shell(checkout, documented_commands("After Snakemake was killed"))
    assert done.returncode == 0, done.stderr
    wait_until(lambda: submissions(checkout.folder)[0].state == "CANCELLED", "the orphan is cancelled")
    gate.open()
    again = Snakemake(checkout, TARGET)
    assert again.ends() == 0, again.screen
    first, second = submissions(checkout.folder)
    assert first.number == orphan.number
    assert (first.state, second.state) == ("CANCELLED", "COMPLETED")
    assert files_below(checkout.folder, *RESULTS) == expected


def test_the_documented_commands_leave_jobs_of_other_folders_alone(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    number = slurm("sbatch", "--parsable", f"--chdir={other}", "--wrap=sleep 60").strip()
    cancel = documented_commands("After Snakemake was killed").splitlines()[0]
    subprocess.run(["bash", "-c", cancel], cwd=tmp_path, check=True)
    assert submissions(other)[0].state in ACTIVE
    subprocess.run(["bash", "-c", cancel], cwd=other, check=True)
    wait_until(
        lambda: submissions(other)[0].state == "CANCELLED", "the job of the folder itself is cancelled"
    )
    assert submissions(other)[0].number == number


def test_an_orphan_that_was_forgotten_does_no_harm(checkout, gate, expected):
    """Two jobs write the same files at the same time; each renames whole ones into place."""
    killed_until_orphaned(checkout, gate)
    done = shell(checkout, "snakemake --unlock")
    assert done.returncode == 0, done.stderr
    again, _ = run_until_held(checkout, gate, running=2)
    assert [one.state for one in submissions(checkout.folder)] == ["RUNNING", "RUNNING"]
    gate.open()
    assert again.ends() == 0, again.screen
    wait_until(
        lambda: not any(one.state in ACTIVE for one in submissions(checkout.folder)), "both jobs have ended"
    )
    assert files_below(checkout.folder, *RESULTS) == expected
