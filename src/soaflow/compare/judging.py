"""Makes a verdict from what was measured: a pure function of statistics, tolerances and waivers.

The invariant: nothing is measured here and no event is read, so all of a run is judged again in seconds.

>>> import numpy as np
>>> from soaflow.compare.differences import differences
>>> from soaflow.compare.measurement import Shard
>>> found = OutputMeasurement("pt", "GeV", "float32", differences(np.zeros(2), np.array([0.0, 0.3])))
>>> verdict = judge(Measurement("toy", "Net", "jit", "", (Shard("0", 2, ""),), (found,)), Tolerance(0.1, 0.0))
>>> verdict.passed, with_tolerances(verdict, Tolerance(0.5, 0.0)).passed
(False, True)
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from soaflow.compare.criteria import Criterion
from soaflow.compare.measurement import Measurement, OutputMeasurement, require_same_rows
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.verdict import OutputVerdict, Verdict
from soaflow.compare.waivers import Waiver
from soaflow.compare.yard import Yard
from soaflow.compare.yardstick import Yardstick
from soaflow.errors import ConfigError, StorageError

Asked = Mapping[str, Sequence[Criterion]]
"""Questions for each output item, from statistics other than the differences."""


def judge(
    measured: Measurement,
    tolerances: Tolerance | Mapping[str, Tolerance],
    *,
    yard: Measurement | None = None,
    yardstick: Yardstick | None = None,
    further: Sequence[Asked] = (),
    waivers: Sequence[Waiver] = (),
) -> Verdict:
    """Judge what was measured.

    Parameters
    ----------
    measured
        The differences of a variant, all shards merged.
    tolerances
        One for all items, or one for each item of the prediction collection by name.
    yard
        The differences of eager float32 on the same rows.
    yardstick
        How the error of `yard` limits that of the variant; without one it is shown and limits nothing.
    further
        Questions from other statistics, such as decisions and invariance, one mapping for each kind.
    waivers
        Of the run; those for other variants or datasets are left out.

    Raises
    ------
    ConfigError
        If an item has no tolerance.
    StorageError
        If the yard is of other rows, or further questions are about an output that is not there.
    """
    if yard is not None:
        require_same_rows(measured, yard)
    names = [output.item for output in measured.outputs]
    if unknown := sorted({item for asked in further for item in asked} - set(names)):
        raise StorageError(
            f"statistics of {measured.described} are about output '{unknown[0]}', which is not among its "
            f"outputs ({', '.join(names)}): measure them again"
        )
    eager = {} if yard is None else {output.item: output.differences for output in yard.outputs}
    return Verdict(
        dataset=measured.dataset,
        model=measured.model,
        variant=measured.variant,
        weights_sha256=measured.weights_sha256,
        shards=measured.shards,
        outputs=tuple(
            OutputVerdict.of(
                output,
                _tolerance_of(output.item, tolerances),
                yard=None if yard is None else Yard.of(yard.variant, eager[output.item], yardstick),
                further=[criterion for asked in further for criterion in asked.get(output.item, ())],
            )
            for output in measured.outputs
        ),
        waivers=tuple(w for w in waivers if w.concerns(measured.dataset, measured.model, measured.variant)),
    )


def with_tolerances(verdict: Verdict, tolerances: Tolerance | Mapping[str, Tolerance]) -> Verdict:
    """Judge at other tolerances, from the figures alone.

    Raises
    ------
    ConfigError
        If an item has no tolerance.
    """
    return _judged_again(verdict, lambda output: (_tolerance_of(output.item, tolerances), output.yard))


def with_yardstick(verdict: Verdict, yardstick: Yardstick | None) -> Verdict:
    """Judge by another yardstick, or by none, from the figures alone."""

    def limits(output: OutputVerdict) -> tuple[Tolerance, Yard | None]:
        yard = output.yard
        return output.tolerance, None if yard is None else dataclasses.replace(yard, yardstick=yardstick)

    return _judged_again(verdict, limits)


def _judged_again(
    verdict: Verdict, limits: Callable[[OutputVerdict], tuple[Tolerance, Yard | None]]
) -> Verdict:
    """Judge with other limits; the questions of other statistics than the differences stay as they are."""

    def again(output: OutputVerdict) -> OutputVerdict:
        measured = OutputMeasurement(output.item, output.unit, output.dtype, output.differences)
        tolerance, yard = limits(output)
        return OutputVerdict.of(measured, tolerance, yard=yard, further=output.further)

    return dataclasses.replace(verdict, outputs=tuple(map(again, verdict.outputs)))


def _tolerance_of(item: str, tolerances: Tolerance | Mapping[str, Tolerance]) -> Tolerance:
    if isinstance(tolerances, Tolerance):
        return tolerances
    if item not in tolerances:
        raise ConfigError(f"item '{item}' has no tolerance: there are some for {', '.join(tolerances)}")
    return tolerances[item]
