"""Judges what was measured of a variant on all shards of a dataset, and writes the verdict."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0]):
    from soaflow.compare.decision_criteria import criteria_of
    from soaflow.compare.decisions import read_decisions
    from soaflow.compare.judging import judge
    from soaflow.compare.measurement import merged, read_measurement
    from soaflow.compare.observables import Limits
    from soaflow.compare.tolerances import Tolerance
    from soaflow.compare.verdict import write_verdict
    from soaflow.compare.waivers import Waiver
    from soaflow.compare.yardstick import Yardstick

    shards, yardstick = snakemake.params.shards, snakemake.params.yardstick
    yard = [read_measurement(path) for path in snakemake.input.get("yard", [])]
    measured = merged([read_measurement(path) for path in snakemake.input.measurements], shards)
    limits = {name: Limits(**entry) for name, entry in snakemake.params.limits.items()}
    decided = [read_decisions(path) for path in snakemake.input.get("decisions", [])]
    for decisions in decided:
        decisions.require_same_predictions(measured)
    verdict = judge(
        measured,
        {item: Tolerance(**entry) for item, entry in snakemake.params.tolerances.items()},
        yard=merged(yard, shards) if yard else None,
        yardstick=None if yardstick is None else Yardstick(**yardstick),
        further=[criteria_of(decisions, limits) for decisions in decided],
        waivers=[Waiver(**entry) for entry in snakemake.params.waivers],
    )
    write_verdict(snakemake.output.verdict, verdict)
