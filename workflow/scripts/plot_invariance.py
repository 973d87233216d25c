"""Plots which bits change with the batch, when run again, and between variants."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.report.invariance import plot_invariance

    plot_invariance(
        snakemake.input.invariance,
        snakemake.input.pairs,
        snakemake.output.plot,
        model=snakemake.wildcards.model,
    )
