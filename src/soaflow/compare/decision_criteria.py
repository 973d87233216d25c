"""Judges the figures of decisions by their limits.

A shift is judged by its size alone: it is known exactly on these rows. Its statistical error, which stands
beside it, says how far it may be another one on other rows.

The invariant: a limit that could not be tested does not pass: where there are rows, and no signal, truth or
finite prediction among them, the criterion says so and fails. Without any rows nothing is limited.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from soaflow.compare.criteria import Criterion
from soaflow.compare.decisions import (
    ClassFigures,
    Decisions,
    RegressionFigures,
    ScoreFigures,
    read_decisions,
)
from soaflow.compare.measurement import Measurement
from soaflow.compare.observables import Limits
from soaflow.compare.working_points import Flip
from soaflow.errors import ConfigError
from soaflow.physics.efficiency import Efficiency

_FLIPS_NAMED = 3


def limits_by_observable(entries: Mapping[str, Mapping[str, float | None]]) -> dict[str, Limits]:
    """Make limits from plain values, as a job's parameters hold them."""
    return {name: Limits(**entry) for name, entry in entries.items()}


def decision_criteria(
    measured: Measurement, decisions: Sequence[Path | str] | None, limits: Mapping[str, Limits]
) -> list[dict[str, tuple[Criterion, ...]]]:
    """Judge what was measured of a variant's decisions.

    Parameters
    ----------
    measured
        The differences that are judged beside it.
    decisions
        The file of the decisions, or none for a model without observables.
    limits
        By name of the observable.

    Raises
    ------
    StorageError
        If a file is not such a measurement, or is of other predictions.
    ConfigError
        If there are limits for an observable that has no figures.
    """
    found = [read_decisions(path) for path in decisions or ()]
    for figures in found:
        figures.require_same_predictions(measured)
    return [criteria_of(figures, limits) for figures in found]


def criteria_of(decisions: Decisions, limits: Mapping[str, Limits]) -> dict[str, tuple[Criterion, ...]]:
    """Return the questions and answers for each output item.

    Parameters
    ----------
    decisions
        The figures.
    limits
        By name of the observable; what has none is shown and fails nothing.

    Raises
    ------
    ConfigError
        If there are limits for an observable that has no figures.
    """
    if strange := [name for name in limits if name not in decisions.names]:
        raise ConfigError(
            f"there are tolerances for '{strange[0]}', of which there are no decisions: measure them again"
        )
    found: dict[str, tuple[Criterion, ...]] = {}
    rows = decisions.rows
    for score in decisions.scores:
        criteria = _of_score(score, _limits(limits, score.name, rows))
        found[score.item] = (*found.get(score.item, ()), *criteria)
    for figures in decisions.classes:
        criteria = _of_class(figures, _limits(limits, figures.name, rows))
        found[figures.item] = (*found.get(figures.item, ()), *criteria)
    for regression in decisions.regressions:
        criteria = _of_regression(regression, _limits(limits, regression.name, rows))
        found[regression.item] = (*found.get(regression.item, ()), *criteria)
    return found


def _limits(limits: Mapping[str, Limits], name: str, rows: int) -> Limits:
    return limits.get(name, Limits()) if rows else Limits()


def _of_score(score: ScoreFigures, limits: Limits) -> Iterator[Criterion]:
    for point in score.working_points:
        where = f"{score.name} at {point.name}"
        yield _flips(where, point.flipped, point.everything.rows, point.flips, limits)
        of_rows = {"": point.everything, "signal ": point.signal, "background ": point.background}
        for kind, efficiency in of_rows.items():
            if efficiency is not None:
                yield _efficiency_shift(f"{kind}efficiency shift of {where}", efficiency, limits)
    separation = score.separation
    if separation is not None:
        detail = f"{separation.signal} signal and {separation.background} background rows"
        if separation.reference is not None and separation.value is not None:
            detail = (
                f"{separation.reference:.6g} ± {separation.error:.2g} -> {separation.value:.6g}, {detail}"
            )
        if separation.left_out:
            detail += f", {separation.left_out} rows with NaN left out"
        yield _shift(f"AUC shift of {score.name}", separation.shift, limits.auc_shift, detail)


def _of_class(figures: ClassFigures, limits: Limits) -> Iterator[Criterion]:
    decided = figures.classification
    yield _flips(figures.name, decided.flipped, decided.rows, decided.flips, limits)
    if decided.right is None:
        return
    yield _efficiency_shift(f"efficiency shift of {figures.name}", decided.right, limits)
    shifts = [
        (abs(found.shift), -index) for index, found in enumerate(decided.by_class) if found.shift is not None
    ]
    index = -max(shifts, default=(0.0, 0))[1]
    yield _efficiency_shift(
        f"largest efficiency shift of a class of {figures.name}",
        decided.by_class[index],
        limits,
        f"class {index}: ",
    )


def _of_regression(figures: RegressionFigures, limits: Limits) -> Iterator[Criterion]:
    found = figures.resolution
    rows = f"{found.used} rows"
    if found.not_finite:
        rows += f", {found.not_finite} that are not finite left out"
    if found.without_truth:
        rows += f", {found.without_truth} without a truth above zero left out"
    for name, shift, limit in (
        ("resolution", found.resolution_shift, limits.resolution_shift),
        ("bias", found.bias_shift, limits.bias_shift),
    ):
        detail = rows
        if found.reference is not None and found.value is not None:
            before, after = getattr(found.reference, name), getattr(found.value, name)
            detail = f"{before:.6g} -> {after:.6g}, {rows}"
        yield _shift(f"{name} shift of {figures.name}", shift, limit, detail)


def _flips(where: str, flipped: int, rows: int, first: tuple[Flip, ...], limits: Limits) -> Criterion:
    share = flipped / rows if rows else 0.0
    named = "; ".join(_described(flip) for flip in first[:_FLIPS_NAMED])
    more = "; ..." if flipped > _FLIPS_NAMED else ""
    detail = f"{flipped} of {rows}" + (f": {named}{more}" if named else "")
    return Criterion(f"flips of {where}", share, limits.flips, share, "of the rows", detail)


def _efficiency_shift(name: str, efficiency: Efficiency, limits: Limits, of: str = "") -> Criterion:
    detail = f"{of}no such rows"
    if efficiency.shift is not None:
        detail = (
            f"{of}{efficiency.reference:.6g} ± {efficiency.error:.2g} -> {efficiency.value:.6g}, "
            f"shift {efficiency.shift:+.6g} ± {efficiency.shift_error:.2g}, "
            f"{efficiency.gained} gained and {efficiency.lost} lost of {efficiency.rows} rows"
        )
    return _shift(name, efficiency.shift, limits.efficiency_shift, detail)


def _shift(name: str, shift: float | None, limit: float | None, detail: str) -> Criterion:
    size = None if shift is None else abs(shift)
    return Criterion(name, size, limit, size, "", detail)


def _described(flip: Flip) -> str:
    return f"{flip.shard}/{flip.row} {_scores(flip.reference)} -> {_scores(flip.value)}"


def _scores(scores: tuple[str, ...]) -> str:
    return ", ".join(f"{float(score):.9g}" for score in scores)
