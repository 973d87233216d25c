"""Packs the artifacts of a model for several targets into a fat one."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.export.fat import write_fat

    write_fat(snakemake.input.artifacts, snakemake.output.artifact)
