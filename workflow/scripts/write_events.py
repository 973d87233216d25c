"""Writes one shard of events."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.events.datasets import dataset_from_mapping
    from soaflow.events.shards import write_shard

    dataset = dataset_from_mapping(
        snakemake.wildcards.dataset,
        snakemake.params.dataset,
        seed=snakemake.params.seed,
        alignment=snakemake.params.alignment,
    )
    write_shard(dataset, int(snakemake.wildcards.shard), snakemake.output.events)
