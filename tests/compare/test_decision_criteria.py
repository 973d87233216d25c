"""Which limits fail, by how much, and what would pass."""

import dataclasses

import pytest

from soaflow.compare.classification import Classification
from soaflow.compare.criteria import Criterion
from soaflow.compare.decision_criteria import criteria_of
from soaflow.compare.decisions import ClassFigures, Decisions, NotANumber, RegressionFigures, ScoreFigures
from soaflow.compare.measurement import Shard
from soaflow.compare.observables import Limits
from soaflow.compare.resolution import Resolution
from soaflow.compare.separation import Separation
from soaflow.compare.working_points import AtWorkingPoint, Flip
from soaflow.errors import ConfigError
from soaflow.physics.efficiency import Efficiency
from soaflow.physics.response import Response

NONE = NotANumber(0, 0)
FLIPS = tuple(Flip("0", row, ("0.4999999",), ("0.5000001",)) for row in (3, 7, 8))
LOOSE = AtWorkingPoint(
    "loose", 0.5, FLIPS, Efficiency(100, 40, 2, 1), Efficiency(20, 15, 2, 0), Efficiency(80, 25, 0, 1)
)
SCORE = ScoreFigures("b_tag", "b", "jets/flavour = 5", NONE, (LOOSE,), Separation(20, 80, 1, 2400, 2384))
CLASS = ClassFigures(
    "kind",
    "classes",
    "jets/kind",
    NONE,
    Classification(100, 3, FLIPS, (Efficiency(60, 50, 0, 0), Efficiency(40, 30, 0, 2))),
)
REGRESSION = RegressionFigures(
    "pt_response", "b", "jets/gen_pt", Resolution(90, 4, 6, Response(0.02, 0.1), Response(0.015, 0.125))
)
DECISIONS = Decisions("ttbar", "Net", "jit", "", (Shard("0", 100, ""),), (SCORE,), (CLASS,), (REGRESSION,))


def criterion(name: str, decisions: Decisions = DECISIONS, **limits: float) -> Criterion:
    found = criteria_of(decisions, dict.fromkeys(decisions.names, Limits(**limits)))
    (chosen,) = [criterion for asked in found.values() for criterion in asked if criterion.name == name]
    return chosen


@pytest.mark.parametrize(
    ("name", "limit", "size"),
    [
        ("flips of b_tag at loose", "flips", 0.03),
        ("efficiency shift of b_tag at loose", "efficiency_shift", 0.01),
        ("signal efficiency shift of b_tag at loose", "efficiency_shift", 0.1),
        ("background efficiency shift of b_tag at loose", "efficiency_shift", 0.0125),
        ("AUC shift of b_tag", "auc_shift", 0.005),
        ("flips of kind", "flips", 0.03),
        ("efficiency shift of kind", "efficiency_shift", 0.02),
        ("largest efficiency shift of a class of kind", "efficiency_shift", 0.05),
        ("resolution shift of pt_response", "resolution_shift", 0.025),
        ("bias shift of pt_response", "bias_shift", 0.005),
    ],
)
def test_each_limit_fails_just_below_what_was_found(name: str, limit: str, size: float) -> None:
    measured = criterion(name).measured
    assert measured == pytest.approx(size)
    assert measured is not None
    assert criterion(name).passed
    assert criterion(name, **{limit: measured}).passed
    failed = criterion(name, **{limit: measured * 0.999})
    assert (failed.passed, failed.needed) == (False, measured)


def test_every_criterion_belongs_to_an_item_and_has_a_name_of_its_own() -> None:
    found = criteria_of(DECISIONS, {})
    assert {item: len(asked) for item, asked in found.items()} == {"b": 7, "classes": 3}
    for asked in found.values():
        assert len({criterion.name for criterion in asked}) == len(asked)


def test_details_name_rows_and_errors() -> None:
    assert criterion("flips of b_tag at loose").detail == (
        "3 of 100: 0/3 0.4999999 -> 0.5000001; 0/7 0.4999999 -> 0.5000001; 0/8 0.4999999 -> 0.5000001"
    )
    assert criterion("signal efficiency shift of b_tag at loose").detail == (
        "0.75 ± 0.097 -> 0.85, shift +0.1 ± 0.067, 2 gained and 0 lost of 20 rows"
    )
    assert criterion("AUC shift of b_tag").detail == (
        "0.75 ± 0.067 -> 0.745, 20 signal and 80 background rows, 1 rows with NaN left out"
    )
    assert criterion("largest efficiency shift of a class of kind").detail.startswith("class 1: 0.75 ±")
    assert criterion("bias shift of pt_response").detail == (
        "0.02 -> 0.015, 90 rows, 6 that are not finite left out, 4 without a truth above zero left out"
    )


def test_what_could_not_be_measured_does_not_pass_a_limit() -> None:
    all_signal = dataclasses.replace(SCORE, separation=Separation(100, 0, 0, 0, 0))
    no_truth = dataclasses.replace(REGRESSION, resolution=Resolution(0, 100, 0, None, None))
    decisions = dataclasses.replace(DECISIONS, scores=(all_signal,), regressions=(no_truth,))
    for name, limit in (
        ("AUC shift of b_tag", "auc_shift"),
        ("bias shift of pt_response", "bias_shift"),
        ("resolution shift of pt_response", "resolution_shift"),
    ):
        failed = criterion(name, decisions, **{limit: 1.0})
        assert (failed.measured, failed.needed, failed.passed) == (None, None, False)
        assert criterion(name, decisions).passed


def test_without_any_rows_nothing_is_limited() -> None:
    nobody = Efficiency(0, 0, 0, 0)
    empty = Decisions(
        *("ttbar", "Net", "jit", "", ()),
        (ScoreFigures("b", "b", "", NONE, (AtWorkingPoint("a", 0, (), nobody, None, None),), None),),
        (ClassFigures("kind", "c", "jets/kind", NONE, Classification(0, 0, (), (nobody, nobody))),),
        (RegressionFigures("pt", "b", "jets/pt", Resolution(0, 0, 0, None, None)),),
    )
    limits = dict.fromkeys(empty.names, Limits(0, 0, 0, 0, 0))
    assert all(criterion.passed for asked in criteria_of(empty, limits).values() for criterion in asked)


def test_limits_of_what_was_not_measured_are_refused() -> None:
    with pytest.raises(ConfigError, match="tolerances for 'c_tag', of which there are no decisions"):
        criteria_of(DECISIONS, {"c_tag": Limits(flips=0)})
