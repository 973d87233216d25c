"""Waivers: what they cover, when they end, and that they change no figure."""

import dataclasses
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soaflow.compare.criteria import Criterion
from soaflow.compare.differences import differences
from soaflow.compare.judging import judge, with_tolerances
from soaflow.compare.measurement import Measurement, OutputMeasurement, Shard
from soaflow.compare.summary import as_text, failures, idle_waivers, summarise, waived
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.verdict import Verdict, read_verdict, write_verdict
from soaflow.compare.waivers import Waiver
from soaflow.errors import ConfigError, StorageError

WAIVER = Waiver("Net", "jit", None, (), None, "known since May", "2027-01-31")
STRICT = Tolerance(1e-5, 0.0)


def verdict_with(*waivers: Waiver, further: Any = (), values: Any = (1.5, np.nan)) -> Verdict:
    figures = differences(np.ones(2), np.array(values), shard="0")
    output = OutputMeasurement("pt", "GeV", "float64", figures)
    measured = Measurement("toy", "Net", "jit", "", (Shard("0", 2, ""),), (output,))
    return judge(measured, STRICT, waivers=waivers, further=further)


def waiver(**changes: Any) -> Waiver:
    return dataclasses.replace(WAIVER, **changes)


def test_a_waived_failure_stays_a_failure_and_is_accepted(tmp_path: Path) -> None:
    plain, verdict = verdict_with(), verdict_with(WAIVER)
    assert (plain.passed, plain.accepted) == (False, False)
    assert (verdict.passed, verdict.accepted) == (False, True)
    assert verdict.outputs == plain.outputs
    assert failures([verdict]) == ()
    (sentence,) = waived([verdict])
    assert sentence.count("[waived until 2027-01-31: known since May]") == 2
    (line,) = summarise([verdict])
    assert (line.verdict, line.waiver) == ("waived", "waived until 2027-01-31: known since May")
    assert as_text([line]).endswith("0 of 1 outputs passed, 1 failed with a waiver.\n")
    write_verdict(tmp_path / "verdict.json", verdict)
    assert read_verdict(tmp_path / "verdict.json") == verdict


@pytest.mark.parametrize(
    "changes",
    [{"criterion": "tolerance"}, {"criterion": "not finite"}, {"items": ("eta",)}, {"expired": True}],
)
def test_what_is_not_covered_fails(changes: dict[str, Any]) -> None:
    verdict = verdict_with(waiver(**changes))
    assert not verdict.accepted
    assert len(failures([verdict])) == 1
    assert summarise([verdict])[0].verdict == "fail"


def test_two_waivers_cover_two_questions_and_one_that_holds_counts() -> None:
    both = waiver(criterion="tolerance"), waiver(criterion="not finite")
    assert verdict_with(*both).accepted
    assert verdict_with(waiver(expired=True), WAIVER).accepted
    assert verdict_with(WAIVER, waiver(expired=True)).accepted


def test_an_expired_waiver_is_said_with_the_failure() -> None:
    (sentence,) = failures([verdict_with(waiver(expired=True))])
    assert "[waiver expired on 2027-01-31: known since May]" in sentence


def test_the_last_day_is_the_one_named() -> None:
    assert not WAIVER.on(date(2027, 1, 31)).expired
    assert WAIVER.on(date(2027, 2, 1)).expired


def test_a_waiver_that_waives_nothing_is_said() -> None:
    used, idle = waiver(criterion="tolerance"), waiver(criterion="flips at loose")
    verdict = verdict_with(used, idle)
    (sentence,) = idle_waivers([verdict])
    assert sentence == (
        "the waiver of model Net, variant jit, criterion 'flips at loose' waives nothing (waived until "
        "2027-01-31: known since May): remove it"
    )
    # It is idle only if it is so in every verdict that it is for.
    assert idle_waivers([verdict_with(WAIVER, values=(1.0, 1.0)), verdict_with(WAIVER)]) == ()
    assert len(idle_waivers([verdict_with(WAIVER, values=(1.0, 1.0))] * 2)) == 1


def test_waivers_for_others_are_left_out() -> None:
    for other in ({"model": "Other"}, {"variant": "aot"}, {"dataset": "ttbar"}):
        verdict = verdict_with(waiver(**other))
        assert (verdict.waivers, verdict.accepted) == ((), False)
    assert verdict_with(waiver(dataset="toy")).accepted


def test_questions_of_other_statistics_join_the_verdict(tmp_path: Path) -> None:
    flips = Criterion("flips at loose", 3.0, 1.0, 3.0, "rows")
    verdict = verdict_with(further=[{"pt": (flips,)}], values=(1.0, 1.0))
    assert not verdict.passed
    assert [failure.criterion for failure in verdict.failures] == ["flips at loose"]
    again = with_tolerances(verdict, Tolerance(9.0, 0.0))
    assert again.outputs[0].further == (flips,)
    write_verdict(tmp_path / "verdict.json", verdict)
    assert read_verdict(tmp_path / "verdict.json") == verdict
    with pytest.raises(StorageError, match="about output 'eta', which is not among its outputs"):
        verdict_with(further=[{"eta": (flips,)}])
    with pytest.raises(ValueError, match="two criteria named 'flips at loose'"):
        verdict_with(further=[{"pt": (flips,)}, {"pt": (flips,)}])


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"reason": " "}, "the reason is empty"),
        ({"expires": "2027-02-30"}, "the expiry is '2027-02-30': give a day as YYYY-MM-DD"),
        ({"expires": "soon"}, "the expiry is 'soon'"),
    ],
)
def test_mistakes_are_named(entry: dict[str, str], sentence: str) -> None:
    sound = {"model": "Net", "variant": "jit", "reason": "known", "expires": "2027-01-31"}
    assert Waiver.from_mapping(sound).expires == "2027-01-31"
    with pytest.raises(ConfigError, match=sentence):
        Waiver.from_mapping(sound | entry)
