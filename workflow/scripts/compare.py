"""Compares predictions with the reference's and writes the verdict."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0]):
    from soaflow.compare.tolerances import Tolerance
    from soaflow.compare.verdict import compare_files, read_verdict, write_verdict
    from soaflow.compare.yardstick import Yardstick

    yard, yardstick = snakemake.input.get("yard"), snakemake.params.yardstick
    verdict = compare_files(
        snakemake.input.reference,
        snakemake.input.predictions,
        {item: Tolerance(**entry) for item, entry in snakemake.params.tolerances.items()},
        first_rows=snakemake.params.first_rows,
        yard=read_verdict(yard) if yard else None,
        yardstick=None if yardstick is None else Yardstick(**yardstick),
        events=snakemake.input.get("events"),
        inputs=snakemake.params.inputs,
    )
    write_verdict(snakemake.output.verdict, verdict)
