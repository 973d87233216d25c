"""Plots throughput, memory and start-up of a model's variants."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.report.performance import plot_performance

    plot_performance(
        snakemake.input.proofs,
        snakemake.output.plot,
        snakemake.output.figures,
        model=snakemake.wildcards.model,
    )
