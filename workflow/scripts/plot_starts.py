"""Draws what the start of each variant of a model costs."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.report.starts import plot_starts

    plot_starts(snakemake.input.starts, snakemake.output.plot)
