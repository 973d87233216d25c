"""Compiles a program ahead of time for one target."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0]):
    from soaflow.export.aot import write_aot

    write_aot(snakemake.input.program, snakemake.wildcards.target, snakemake.output.artifact)
