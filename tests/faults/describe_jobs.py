"""Writes what Snakemake hands to the script of every job of a run, as a pickle.

Run as a program, because Snakemake's API changes the logging and the working directory of its process.
"""

import contextlib
import io
import pickle
import sys
from pathlib import Path

from snakemake.api import SnakemakeApi
from snakemake.script import Snakemake
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    Quietness,
    ResourceSettings,
    WorkflowSettings,
)


def described_jobs(targets):
    """The jobs by which targets are made, each as a mapping with its pickled stand-in for Snakemake."""
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(),
            workflow_settings=WorkflowSettings(),
            snakefile=Path("Snakefile"),
            workdir=Path(),
        )
        with contextlib.redirect_stdout(io.StringIO()):
            workflow.dag(dag_settings=DAGSettings(targets=set(targets))).printrulegraph()
        config = workflow._workflow.globals["config"]
        return [_described(job, config) for job in workflow._workflow.dag.jobs if job.rule.script]


def _described(job, config):
    stand_in = Snakemake(
        job.input,
        job.output,
        job.params,
        job.wildcards,
        1,
        [],
        job.log,
        config,
        job.rule.name,
        None,
        "workflow/scripts",
    )
    return {
        "rule": job.rule.name,
        "script": job.rule.script,
        "inputs": [str(path) for path in job.input],
        "outputs": [str(path) for path in job.output],
        "log": str(job.log[0]),
        "stand_in": pickle.dumps(stand_in, protocol=4),
    }


if __name__ == "__main__":
    output, *targets = sys.argv[1:]
    jobs = described_jobs(targets)
    Path(output).write_bytes(pickle.dumps(jobs))
