"""Compiles a program ahead of time for one target, in one profile."""

from typing import TYPE_CHECKING

from soaflow.export.environment import prepare_environment
from soaflow.logs import job_log
from soaflow.targets import find_target

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    # Torch and its libraries read the environment when they are loaded, which happens below.
    prepare_environment(find_target(snakemake.wildcards.target))
    from soaflow.export.aot import write_aot

    write_aot(
        snakemake.input.program,
        snakemake.wildcards.target,
        snakemake.output.artifact,
        profile_name=snakemake.wildcards.profile,
    )
