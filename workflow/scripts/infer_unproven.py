"""Runs an artifact on the first rows of a shard, on this machine's CPU and without a proof."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.infer.unproven import predict

    predict(snakemake.input.artifact, snakemake.input.events, snakemake.output.predictions)
