"""Times the variants of a model in turn."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from functools import partial

    from soaflow.infer.loading import load_backend
    from soaflow.infer.speed import measure_speed
    from soaflow.infer.variants import Variant
    from soaflow.soa.signature import Signature
    from soaflow.timing import Pace

    signature = Signature.from_mapping(snakemake.params.signature)
    variants = [Variant(**entry) for entry in snakemake.params.variants]
    files = dict(zip(variants, snakemake.input.models, strict=True))
    measure_speed(
        {
            variant: partial(
                load_backend,
                variant,
                signature,
                artifact=file,
                weights=file,
                **snakemake.params.model,
                through_torch=True,
            )
            for variant, file in files.items()
        },
        signature,
        snakemake.input.events,
        snakemake.output.speed,
        model=snakemake.wildcards.model,
        batch_sizes=snakemake.params.batch_sizes,
        pace=Pace(seconds=snakemake.params.seconds),
    )
