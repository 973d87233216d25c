"""Exports a model's program and its passport."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0]):
    from soaflow.export.program import write_program
    from soaflow.files import sha256_of_file
    from soaflow.models.loading import build_model
    from soaflow.models.weights import read_weights
    from soaflow.soa.signature import Signature

    model = build_model(**snakemake.params.model)
    read_weights(snakemake.input.weights, model)
    write_program(
        model,
        Signature.from_mapping(snakemake.params.signature),
        snakemake.output.program,
        model_name=snakemake.wildcards.model,
        dtype=snakemake.wildcards.dtype,
        origin={
            **snakemake.params.model,
            "model_code_sha256": snakemake.params.model_code,
            "weights_sha256": sha256_of_file(snakemake.input.weights),
        },
    )
