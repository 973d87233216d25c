"""Plots a learning curve."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.report.learning_curve import plot_learning_curve

    plot_learning_curve(snakemake.input.curve, snakemake.output.plot, model=snakemake.wildcards.model)
