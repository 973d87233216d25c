"""Snakemake's own process sleeps while jobs run."""

import copy

import pytest

pytestmark = pytest.mark.workflow

COUNTING = """
import sys
from snakemake.cli import main
from snakemake.scheduling.job_scheduler import JobScheduler

looks, select = [], JobScheduler.job_selector
JobScheduler.job_selector = lambda self, jobs: looks.append(len(jobs)) or select(self, jobs)
try:
    main(sys.argv[1:])
finally:
    print(len(looks))
"""
SHARDS = 5
TARGETS = [f"results/events/toy/{shard}.h5" for shard in range(SHARDS)]


@pytest.fixture
def checkout(make_checkout, test_config, tmp_path):
    config = copy.deepcopy(test_config)
    config["datasets"]["toy"]["shards"] = SHARDS
    return make_checkout(tmp_path / "checkout", config)


def looks_for_jobs(checkout, *arguments):
    """How often the scheduler looks for a job to start while shards are written one by one."""
    done = checkout.run(["-c", COUNTING], "--cores", 1, *arguments, "--", *TARGETS)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


def test_the_scheduler_looks_for_a_job_when_one_has_ended(checkout):
    assert looks_for_jobs(checkout) <= SHARDS + 1


def test_with_snakemakes_limiter_it_would_look_all_the_time(checkout):
    """The planted fault: no hook takes the limiter out."""
    assert looks_for_jobs(checkout, "--no-hooks", "--max-jobs-per-timespan", "1000/0s") > 10 * SHARDS
