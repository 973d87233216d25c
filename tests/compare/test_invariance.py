"""What must hold of a row's bits, from what was measured and the limits alone."""

import dataclasses
import math

import numpy as np
import pytest

from soaflow.compare.differences import differences
from soaflow.compare.invariance import (
    RERUN,
    criteria_of,
    invariance_criteria,
    limits_of,
    pair_criteria_of,
    require_same_origin,
)
from soaflow.compare.judging import judge
from soaflow.compare.measurement import Measurement, OutputMeasurement, Shard
from soaflow.compare.measuring_pairs import measure_pairs
from soaflow.compare.pairs import Pair, Pairs
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.verdict import read_verdict, write_verdict
from soaflow.errors import ConfigError, StorageError
from soaflow.invariance import Batches, Invariance, write_invariance
from soaflow.sameness import OutputSameness, Sameness
from soaflow.soa.layout import Item, Layout

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


NO_BIT = dict.fromkeys(("pt", "score"))


@pytest.mark.parametrize("allowed", [NO_BIT, limits(0.0)])
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
    assert failed(criteria_of(found, NO_BIT)) == {"pt": ["batches of 7"], "score": []}


@pytest.mark.parametrize("relative", [0.0, 0.1, 0.2, 1 / 3])
def test_the_tolerance_that_is_said_to_pass_passes_and_no_smaller_one(relative):
    found = invariance(of_7=APART)
    needed = criteria_of(found, limits(0.0, relative))["pt"][2].needed
    assert failed(criteria_of(found, limits(needed, relative)))["pt"] == []
    if needed:
        smaller = math.nextafter(needed, 0)
        assert failed(criteria_of(found, limits(smaller, relative)))["pt"] == ["batches of 7"]


def test_nan_on_one_side_passes_no_tolerance():
    found = criteria_of(invariance(of_7=NAN), limits(1e9))
    assert failed(found)["pt"] == ["batches of 7"]
    assert found["pt"][2].sentence.startswith(
        "batches of 7: not measured where 1e+09 is allowed (1 NaN or infinite on one side alone; "
    )
    assert found["pt"][2].sentence.endswith("nothing would pass")


def test_pairs_are_limited_where_the_limits_say_so():
    pairs = Pairs(
        *("toy", "Net", "5" * 64, (Shard("0", 100, ""),), ("jit", "aot", "fat")),
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


# What is judged with the differences


@pytest.fixture
def measured():
    found = differences(np.zeros(100), np.zeros(100))
    return Measurement(
        *("toy", "Net", "aot", "5" * 64, (Shard("0", 100, "6" * 64), Shard("1", 0, "7" * 64))),
        outputs=tuple(OutputMeasurement(item, "", "float64", found) for item in ("pt", "score")),
    )


def test_a_verdict_asks_for_the_bits_too_and_fails_by_them(measured, tmp_path):
    path = tmp_path / "invariance.json"
    for found, failing in ((invariance(), []), (invariance(rerun=APART), [RERUN])):
        write_invariance(path, found)
        further = invariance_criteria(measured, path, limits(0.0), None, {})
        verdict = judge(measured, Tolerance(0.0, 0.0), further=further)
        assert verdict.passed == (not failing)
        failed_ones = [one.name for output in verdict.outputs for one in output.criteria if not one.passed]
        assert failed_ones == failing
        write_verdict(tmp_path / "verdict.json", verdict)
        assert read_verdict(tmp_path / "verdict.json") == verdict


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"weights_sha256": "8" * 64}, "weights"),
        ({"events_sha256": "8" * 64}, "events"),
        ({"model": "Other"}, "model"),
        ({"dataset": "ttbar"}, "dataset"),
    ],
)
def test_what_was_measured_with_something_else_is_refused(changed, what, measured, tmp_path):
    write_invariance(tmp_path / "invariance.json", dataclasses.replace(invariance(), **changed))
    with pytest.raises(StorageError, match=f"is of other {what} than the differences of model Net"):
        invariance_criteria(measured, tmp_path / "invariance.json", limits(0.0), None, {})
    # What a file does not say is not held against it.
    unsaid = dataclasses.replace(invariance(), weights_sha256="", events_sha256="")
    require_same_origin(unsaid, measured)


def test_a_limited_pair_is_read_and_one_not_compared_is_refused(measured, write_predictions, tmp_path):
    write_invariance(tmp_path / "invariance.json", invariance())
    layout = Layout.of(Item("pt", "float64"), Item("score", "float64"))
    values = {"pt": np.zeros(100), "score": np.zeros(100)}
    files = [
        write_predictions("aot", values, layout=layout, weights_sha256="5" * 64),
        write_predictions("jit", values | {"pt": np.ones(100)}, layout=layout),
    ]
    measure_pairs(files, ("aot", "jit"), tmp_path / "pairs.json")
    paths = tmp_path / "invariance.json", limits(0.0), tmp_path / "pairs.json"
    _, beside = invariance_criteria(measured, *paths, {"jit": None})
    assert failed(beside) == {"pt": ["beside jit"], "score": []}
    with pytest.raises(StorageError, match="variants aot and fat of model Net were not compared"):
        invariance_criteria(measured, *paths, {"fat": None})
    files[0] = write_predictions("aot", values, layout=layout, weights_sha256="8" * 64)
    measure_pairs(files, ("aot", "jit"), tmp_path / "pairs.json")
    with pytest.raises(
        StorageError, match="the file of pairs for model Net, dataset toy, is of other weights"
    ):
        invariance_criteria(measured, *paths, {"jit": None})


def test_where_nothing_is_limited_nothing_is_read(measured):
    assert invariance_criteria(measured, None, {}, None, {}) == []
    with pytest.raises(AssertionError):
        invariance_criteria(measured, None, limits(0.0), None, {})


def test_an_item_without_a_limit_is_a_sentence():
    with pytest.raises(ConfigError, match="item 'score' has no limit of its own: there are some for pt"):
        criteria_of(invariance(), limits_of({"pt": {"absolute": 0.0, "relative": 0.0}}))
    assert limits_of({"pt": None}) == {"pt": None}
