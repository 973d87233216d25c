"""Draws the stages and what goes from one to the next."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.report.pipeline import plot_pipeline

    plot_pipeline(snakemake.output.plot)
