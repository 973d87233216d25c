"""Draws which build profile to use for how many rows."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.report.profiles import plot_profiles

    plot_profiles(snakemake.input.figures, snakemake.output.plot)
