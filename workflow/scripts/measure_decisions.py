"""Measures what a variant decides otherwise than the reference, over all shards."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.compare.decisions import write_decisions
    from soaflow.compare.measuring_decisions import measure_decisions
    from soaflow.compare.observables import Observable

    decisions = measure_decisions(
        snakemake.input.references,
        snakemake.input.predictions,
        snakemake.input.events,
        [Observable.from_mapping(entry) for entry in snakemake.params.observables],
    )
    write_decisions(snakemake.output.decisions, decisions)
