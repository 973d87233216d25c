"""Plots what a trained output is worth on the validation rows, and writes the figures."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.report.physics import physics_plot

    physics_plot(
        snakemake.input.events,
        snakemake.input.predictions,
        snakemake.params.target,
        snakemake.output.plot,
        snakemake.output.figures,
        model=snakemake.wildcards.model,
        validation_fraction=snakemake.params.validation_fraction,
        prediction_item=snakemake.params.item,
    )
