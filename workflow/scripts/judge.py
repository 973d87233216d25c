"""Judges what was measured of a variant on all shards of a dataset, and writes the verdict."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    from soaflow.compare.decision_criteria import decision_criteria, limits_by_observable
    from soaflow.compare.invariance import invariance_criteria, limits_of
    from soaflow.compare.judging import judge
    from soaflow.compare.measurement import merged, read_measurement
    from soaflow.compare.tolerances import Tolerance
    from soaflow.compare.verdict import write_verdict
    from soaflow.compare.waivers import Waiver
    from soaflow.compare.yardstick import Yardstick

    shards, yardstick = snakemake.params.shards, snakemake.params.yardstick
    yard = [read_measurement(path) for path in snakemake.input.get("yard", [])]
    measured = merged([read_measurement(path) for path in snakemake.input.measurements], shards)
    verdict = judge(
        measured,
        {item: Tolerance(**entry) for item, entry in snakemake.params.tolerances.items()},
        yard=merged(yard, shards) if yard else None,
        yardstick=None if yardstick is None else Yardstick(**yardstick),
        further=[
            *invariance_criteria(
                measured,
                snakemake.input.get("invariance"),
                limits_of(snakemake.params.batch_limits),
                snakemake.input.get("pairs"),
                limits_of(snakemake.params.pair_limits),
            ),
            *decision_criteria(
                measured,
                snakemake.input.get("decisions"),
                limits_by_observable(snakemake.params.limits),
            ),
        ],
        waivers=[Waiver(**entry) for entry in snakemake.params.waivers],
    )
    write_verdict(snakemake.output.verdict, verdict)
