"""Runs an artifact on the first rows of a shard, on an emulated CPU."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.infer.emulated import run_emulated

    run_emulated(
        snakemake.input.artifact,
        snakemake.input.events,
        snakemake.output.predictions,
        cpu=snakemake.params.cpu,
    )
