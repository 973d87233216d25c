"""Plots how far the decisions of all variants of a model are from the reference's."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.report.decisions import plot_decisions

    plot_decisions(snakemake.input.decisions, snakemake.output.plot, model=snakemake.wildcards.model)
