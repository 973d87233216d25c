"""Exports a model's ONNX artifact and its passport."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.export.onnx import write_onnx
    from soaflow.models.loading import build_model
    from soaflow.models.origins import origin_of_export
    from soaflow.models.weights import read_weights
    from soaflow.soa.signature import Signature

    model = build_model(**snakemake.params.model)
    read_weights(snakemake.input.weights, model)
    write_onnx(
        model,
        Signature.from_mapping(snakemake.params.signature),
        snakemake.output.artifact,
        model_name=snakemake.wildcards.model,
        dtype=snakemake.wildcards.dtype,
        origin=origin_of_export(
            snakemake.input.weights,
            snakemake.params.model,
            model_code=snakemake.params.model_code,
            export_code=snakemake.params.code,
        ),
    )
