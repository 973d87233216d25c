"""What must hold of a row's bits, from what was measured and the limits alone."""

import dataclasses

import pytest

from soaflow.compare.invariance import RERUN, criteria_of, pair_criteria_of
from soaflow.compare.pairs import Pair, Pairs
from soaflow.compare.tolerances import Tolerance
from soaflow.invariance import Batches, Invariance
from soaflow.sameness import OutputSameness, Sameness

SAME = Sameness(100, 0, 0, 0.0, 0, None, ())
APART = Sameness(100, 3, 0, 0.5, 7, ("0", 12), ((2.0, 0.5),))
NAN = Sameness(100, 1, 1, 0.0, 0, ("0", 5), ())


def outputs(pt=SAME, score=SAME):
    return OutputSameness("pt", "GeV", pt), OutputSameness("score", "", score)


def invariance(rerun=SAME, of_7=SAME):
    return Invariance(
        *("toy", "0", "Net", "aot", "5" * 64, "6" * 64, 100),
        rerun=outputs(rerun),
        batches=(Batches(1, outputs()), Batches(7, outputs(of_7))),
    )


def limits(absolute, relative=0.0):
    return dict.fromkeys(("pt", "score"), Tolerance(absolute, relative))


def failed(criteria):
    return {item: [one.name for one in found if not one.passed] for item, found in criteria.items()}


@pytest.mark.parametrize("allowed", [None, limits(0.0)])
def test_the_same_bits_pass_every_limit(allowed):
    found = criteria_of(invariance(), allowed)
    assert failed(found) == {"pt": [], "score": []}
    assert [one.name for one in found["pt"]] == [RERUN, "batches of 1", "batches of 7"]


def test_a_rerun_must_give_the_same_bits_at_any_limit():
    found = criteria_of(invariance(rerun=APART), limits(1e9, 1e9))
    assert failed(found) == {"pt": [RERUN], "score": []}
    assert found["pt"][0].sentence == (
        "rerun: 3 rows where 0 is allowed (3 of 100 rows differ, the first is row 12 of shard 0, by at most "
        "0.5 or 7 ULP); 3 would pass"
    )


def test_batches_must_agree_within_the_tolerance_or_to_the_bit():
    found = invariance(of_7=APART)
    assert failed(criteria_of(found, limits(0.5))) == {"pt": [], "score": []}
    assert failed(criteria_of(found, limits(0.4))) == {"pt": ["batches of 7"], "score": []}
    assert failed(criteria_of(found, limits(0.0, 0.25)))["pt"] == []
    assert failed(criteria_of(found, limits(0.0, 0.24)))["pt"] == ["batches of 7"]
    assert failed(criteria_of(found, None)) == {"pt": ["batches of 7"], "score": []}


@pytest.mark.parametrize("relative", [0.0, 0.1, 0.2, 1 / 3])
def test_the_tolerance_that_is_said_to_pass_passes_and_no_smaller_one(relative):
    found = invariance(of_7=APART)
    needed = criteria_of(found, limits(0.0, relative))["pt"][2].needed
    for factor, names in ((1.0, []), (1 - 1e-9, ["batches of 7"])):
        again = criteria_of(found, limits(needed * factor, relative))
        if needed:
            assert failed(again)["pt"] == names


def test_nan_on_one_side_passes_no_tolerance():
    found = criteria_of(invariance(of_7=NAN), limits(1e9))
    assert failed(found)["pt"] == ["batches of 7"]
    assert found["pt"][2].sentence.startswith(
        "batches of 7: not measured where 1e+09 is allowed (1 NaN or infinite on one side alone; "
    )
    assert found["pt"][2].sentence.endswith("nothing would pass")


def test_pairs_are_limited_where_the_limits_say_so():
    pairs = Pairs(
        *("toy", "Net", 100, ("jit", "aot", "fat")),
        (
            Pair("jit", "aot", outputs(APART)),
            Pair("jit", "fat", outputs()),
            Pair("aot", "fat", outputs(score=APART)),
        ),
    )
    assert pair_criteria_of(pairs, "aot", {}) == {}
    assert failed(pair_criteria_of(pairs, "aot", {"fat": None})) == {"pt": [], "score": ["beside fat"]}
    assert failed(pair_criteria_of(pairs, "aot", {"fat": Tolerance(0.5, 0)})) == {"pt": [], "score": []}
    assert failed(pair_criteria_of(pairs, "aot", {"fat": None, "jit": Tolerance(0.4, 0)})) == {
        "pt": ["beside jit"],
        "score": ["beside fat"],
    }


def test_runs_of_other_rows_or_outputs_are_refused():
    with pytest.raises(ValueError, match="more than the 99 rows"):
        dataclasses.replace(invariance(), rows=99)
    with pytest.raises(ValueError, match="the rerun has another number of rows than 101"):
        dataclasses.replace(invariance(), rows=101)
    with pytest.raises(ValueError, match="other outputs than one another"):
        dataclasses.replace(invariance(), rerun=outputs()[:1])
