"""Compares predictions with the reference's and writes the verdict."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0]):
    from soaflow.compare.tolerances import Tolerance
    from soaflow.compare.verdict import compare_files, write_verdict

    verdict = compare_files(
        snakemake.input.reference,
        snakemake.input.predictions,
        {item: Tolerance(**entry) for item, entry in snakemake.params.tolerances.items()},
        first_rows=snakemake.params.first_rows,
    )
    write_verdict(snakemake.output.verdict, verdict)
