"""Compares the predictions of every two variants of a model."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.compare.measuring_pairs import measure_pairs

    measure_pairs(snakemake.input.predictions, snakemake.params.variants, snakemake.output.found)
