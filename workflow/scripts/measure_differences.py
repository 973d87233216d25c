"""Measures how predictions differ from the reference's; judges nothing."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.compare.measurement import write_measurement
    from soaflow.compare.measuring import measure_files

    measured = measure_files(
        snakemake.input.reference,
        snakemake.input.predictions,
        first_rows=snakemake.params.first_rows,
        events=snakemake.input.get("events"),
        inputs=snakemake.params.inputs,
    )
    write_measurement(snakemake.output.measurement, measured)
