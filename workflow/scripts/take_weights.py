"""Writes a model's given weights, checked against the model, or its initial ones."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.models.loading import build_model
    from soaflow.models.origins import INITIAL, write_given_origin, write_origin
    from soaflow.models.weights import read_weights, write_weights

    model = build_model(**snakemake.params.model)
    for given in snakemake.input.weights:
        read_weights(given, model)
    write_weights(snakemake.output.weights, model)
    for given in snakemake.input.weights:
        write_given_origin(snakemake.output.weights, given)
    if not snakemake.input.weights:
        write_origin(snakemake.output.weights, INITIAL)
