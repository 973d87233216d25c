"""Plots the differences of a model's variants from the reference."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0]):
    from soaflow.report.differences import plot_differences

    plot_differences(snakemake.input.verdicts, snakemake.output.plot, model=snakemake.wildcards.model)
