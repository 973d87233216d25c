"""Runs the same rows in batches of several sizes, and again."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.infer.identity import made_from
    from soaflow.infer.invariance import measure_invariance
    from soaflow.infer.loading import load_backend
    from soaflow.infer.variants import Variant
    from soaflow.soa.signature import Signature

    signature = Signature.from_mapping(snakemake.params.signature)
    variant = Variant(**snakemake.params.variant)
    model_files = {key: snakemake.input.get(key) for key in ("artifact", "weights")}
    found = measure_invariance(
        lambda: load_backend(variant, signature, **model_files, **snakemake.params.model),
        signature,
        snakemake.input.events,
        snakemake.output.found,
        variant=variant,
        **snakemake.params.extent,
        model=snakemake.wildcards.model,
        made_from=made_from(snakemake.input.events, **model_files),
    )
    print(found.describe())
