# What a run says at its end of the jobs that failed for good.

import time

from snakemake.logging import logger

START = time.time()

SIGNS_OF_AN_ERROR = ("soaflow: error:", "Traceback (most recent call last)")


def describe_failures():
    """A line for each job that failed, with the last line of its log; jobs of one submission fail together."""
    lines = [describe_failure(failed) for failed in workflow.scheduler.failed]
    return "\n".join(["Failed for good:", *sorted(lines)])


def describe_failure(failed):
    """The logs that say why, or else what failed: a job that was refused or killed has said nothing."""
    jobs = list(failed.jobs) if failed.is_group() else [failed]
    words = [f"  {path}: {text[-1]}" for path, text in logs_with_errors(jobs)]
    return "\n".join(
        words or [f"  {job.message}: no log of it says why" for job in jobs]
    )


def logs_with_errors(jobs):
    """The logs, by lines, of those jobs that wrote of an error in this run."""
    for path in (Path(log) for job in jobs for log in job.log):
        written = path.exists() and path.stat().st_mtime >= START
        text = path.read_text(errors="replace") if written else ""
        if any(sign in text for sign in SIGNS_OF_AN_ERROR):
            yield path, text.splitlines()
