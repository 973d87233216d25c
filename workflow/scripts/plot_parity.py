"""Plots the values of a model's variants against the reference, and what is between the two."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.report.parity import plot_parity

    plot_parity(
        snakemake.input.references,
        snakemake.input.predictions,
        snakemake.input.measurements,
        snakemake.output.plot,
        model=snakemake.wildcards.model,
    )
