"""Trains a model and writes its weights and learning curve."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.models.loading import build_model
    from soaflow.models.origins import TRAINED, write_origin
    from soaflow.models.weights import write_weights
    from soaflow.soa.signature import Signature
    from soaflow.train.curve import write_curve
    from soaflow.train.loop import train
    from soaflow.train.settings import TrainingSettings

    model = build_model(**snakemake.params.model)
    result = train(
        model,
        Signature.from_mapping(snakemake.params.signature),
        TrainingSettings.from_mapping(snakemake.params.training),
        snakemake.input.events,
        seed=snakemake.params.model["seed"],
    )
    write_weights(snakemake.output.weights, model)
    write_origin(
        snakemake.output.weights,
        TRAINED,
        files=snakemake.input.events,
        training=snakemake.params.training,
        code_sha256=snakemake.params.code,
    )
    write_curve(snakemake.output.curve, result.epochs)
