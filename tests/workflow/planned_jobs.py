"""Prints, as JSON, the jobs that Snakemake would run: one `[rule, {wildcard: value}]` each.

Run as a program, because Snakemake's API changes the logging and the working directory of its process.
"""

import contextlib
import io
import json
import sys
from pathlib import Path

from snakemake.api import SnakemakeApi
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    Quietness,
    ResourceSettings,
    WorkflowSettings,
)


def planned_jobs(snakefile: Path, workdir: Path, configfile: Path) -> list[tuple[str, dict[str, str]]]:
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=(configfile,)),
            workflow_settings=WorkflowSettings(),
            snakefile=snakefile,
            workdir=workdir,
        )
        with contextlib.redirect_stdout(io.StringIO()):
            workflow.dag(dag_settings=DAGSettings()).printrulegraph()
        jobs = list(workflow._workflow.dag.needrun_jobs())
    return [(job.rule.name, dict(job.wildcards_dict)) for job in jobs]


if __name__ == "__main__":
    print(json.dumps(planned_jobs(*map(Path, sys.argv[1:]))))
