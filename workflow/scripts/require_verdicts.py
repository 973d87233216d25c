"""Fails, naming the rows, if an output of a variant is out of tolerance."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0]):
    from soaflow.compare.summary import require_passed
    from soaflow.compare.verdict import read_verdict
    from soaflow.files import write_text

    sentence = require_passed(map(read_verdict, snakemake.input.verdicts))
    write_text(snakemake.output.passed, sentence + "\n")
