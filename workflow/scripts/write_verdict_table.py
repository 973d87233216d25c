"""Writes all verdicts with their figures as a page, and as a heat map."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.report.heat_map import plot_heat_map
    from soaflow.report.verdict_table import write_verdict_table

    write_verdict_table(snakemake.input.verdicts, snakemake.output.table)
    plot_heat_map(snakemake.input.verdicts, snakemake.output.heat_map)
