"""Prints, as JSON, the jobs that Snakemake would run: one `[rule, {wildcard: value}]` each.

What makes a job run again is what the profile says, as on the command line; with a fourth argument, what
Snakemake says where there is no profile. Run as a program, because Snakemake's API changes the logging and
the working directory of its process.
"""

import contextlib
import io
import json
import sys
from pathlib import Path

from snakemake.api import SnakemakeApi
from snakemake.cli import parse_args
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    Quietness,
    ResourceSettings,
    WorkflowSettings,
)


def planned_jobs(
    snakefile: Path, workdir: Path, configfile: Path, profile_name: str = "default"
) -> list[tuple[str, dict[str, str]]]:
    _, profile = parse_args(
        ["--snakefile", str(snakefile), "--cores", "1", "--workflow-profile", profile_name]
    )
    dag_settings = DAGSettings(
        rerun_triggers=profile.rerun_triggers, max_checksum_file_size=profile.max_checksum_file_size
    )
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=(configfile,)),
            workflow_settings=WorkflowSettings(),
            snakefile=snakefile,
            workdir=workdir,
        )
        with contextlib.redirect_stdout(io.StringIO()):
            workflow.dag(dag_settings=dag_settings).printrulegraph()
        jobs = list(workflow._workflow.dag.needrun_jobs())
    return [(job.rule.name, dict(job.wildcards_dict)) for job in jobs]


if __name__ == "__main__":
    snakefile, workdir, configfile, *profile_name = sys.argv[1:]
    print(json.dumps(planned_jobs(Path(snakefile), Path(workdir), Path(configfile), *profile_name)))
