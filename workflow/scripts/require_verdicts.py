"""Fails, naming the rows, if an output of a variant failed and no waiver covers it."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log, say

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input) as screen:
    from soaflow.compare.summary import (
        closing_sentence,
        failures,
        idle_waivers,
        outcomes_of,
        require_outputs,
        waived,
    )
    from soaflow.compare.verdict import read_verdict
    from soaflow.files import write_text

    verdicts = [read_verdict(path) for path in snakemake.input.verdicts]
    require_outputs(verdicts)
    for sentence in (*failures(verdicts), *waived(verdicts), *idle_waivers(verdicts)):
        print(sentence)
        say(sentence, screen)
    if failures(verdicts):
        raise SystemExit(1)
    write_text(snakemake.output.passed, f"{closing_sentence(outcomes_of(verdicts))}\n")
