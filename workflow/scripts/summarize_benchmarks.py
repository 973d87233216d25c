"""Puts what the jobs of the run cost into a table and a picture."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.report.benchmarks import summarize_benchmarks

    summarize_benchmarks(snakemake.params.benchmarks, snakemake.output.table, snakemake.output.plot)
