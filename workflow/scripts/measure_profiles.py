"""Times the build profiles of a model."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.infer.measure import measure_profiles
    from soaflow.profiles import PROFILES

    measure_profiles(
        dict(zip(PROFILES, snakemake.input.artifacts, strict=True)),
        snakemake.input.events,
        snakemake.output.figures,
    )
