"""Plots the differences of a model's variants from the reference: how many, and at which magnitudes."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.report.differences import plot_differences
    from soaflow.report.magnitudes import plot_magnitudes

    verdicts, model = snakemake.input.verdicts, snakemake.wildcards.model
    plot_differences(verdicts, snakemake.output.histograms, model=model)
    plot_magnitudes(verdicts, snakemake.output.magnitudes, model=model)
