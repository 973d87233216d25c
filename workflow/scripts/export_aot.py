"""Compiles a program ahead of time for one target, in one profile."""

import os
from typing import TYPE_CHECKING

from soaflow.logs import job_log
from soaflow.targets import find_target

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0]):
    # Torch and its libraries read the environment when they are loaded, which happens below.
    os.environ.update(find_target(snakemake.wildcards.target).build_environment())
    from soaflow.export.aot import write_aot

    write_aot(
        snakemake.input.program,
        snakemake.wildcards.target,
        snakemake.output.artifact,
        profile_name=snakemake.wildcards.profile,
    )
