"""Starts each variant of a model in processes of its own."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.infer.starts import measure_starts
    from soaflow.infer.variants import Variant
    from soaflow.soa.signature import Signature

    variants = [Variant(**entry) for entry in snakemake.params.variants]
    measure_starts(
        dict(zip(variants, snakemake.input.models, strict=True)),
        Signature.from_mapping(snakemake.params.signature),
        snakemake.input.events,
        snakemake.output.starts,
        model=snakemake.params.model,
        model_name=snakemake.wildcards.model,
        repetitions=snakemake.params.repetitions,
    )
