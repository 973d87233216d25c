"""Shows the predictions of all shards of a dataset in one file."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.soa.gathered import gather

    gather(snakemake.input.shards, snakemake.output.gathered)
