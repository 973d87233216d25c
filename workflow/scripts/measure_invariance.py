"""Runs the same rows in batches of several sizes, and again."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0]):
    from soaflow.infer.invariance import measure_invariance
    from soaflow.infer.loading import load_backend
    from soaflow.infer.variants import Variant
    from soaflow.soa.signature import Signature

    signature = Signature.from_mapping(snakemake.params.signature)
    variant = Variant(**snakemake.params.variant)
    measure_invariance(
        lambda: load_backend(
            variant,
            signature,
            artifact=snakemake.input.get("artifact"),
            weights=snakemake.input.get("weights"),
            **snakemake.params.model,
        ),
        signature,
        snakemake.input.events,
        snakemake.output.found,
        variant=variant,
        rows=snakemake.params.rows,
        batch_sizes=snakemake.params.batch_sizes,
        model=snakemake.wildcards.model,
    )
