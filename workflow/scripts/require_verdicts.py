"""Fails, naming the rows, if an output of a variant is out of tolerance."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0]) as screen:
    from soaflow.compare.summary import failures, require_outputs
    from soaflow.compare.verdict import read_verdict
    from soaflow.files import write_text

    verdicts = [read_verdict(path) for path in snakemake.input.verdicts]
    outputs = require_outputs(verdicts)
    if failed := failures(verdicts):
        print(*failed, sep="\n")
        print(*failed, sep="\n", file=screen)
        raise SystemExit(1)
    write_text(snakemake.output.passed, f"{outputs} of {outputs} outputs passed.\n")
