"""Draws how fast the variants of a model are."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.report.latency import plot_latency
    from soaflow.report.speed_table import write_speed_table
    from soaflow.report.throughput import plot_throughput

    plot_throughput(snakemake.input.speed, snakemake.output.throughput, base=snakemake.params.base)
    plot_latency(snakemake.input.speed, snakemake.output.latency)
    write_speed_table(snakemake.input.speed, snakemake.output.table)
