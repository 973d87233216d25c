"""Puts all verdicts into one table, for programs and, in the log, for people."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.compare.summary import as_text, as_tsv, idle_waivers, summarise, waived
    from soaflow.compare.verdict import read_verdict
    from soaflow.files import write_text

    verdicts = [read_verdict(path) for path in snakemake.input.verdicts]
    lines = summarise(verdicts)
    print(as_text(lines), *waived(verdicts), *idle_waivers(verdicts), sep="\n")
    write_text(snakemake.output.summary, as_tsv(lines))
