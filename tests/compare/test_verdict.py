import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soaflow.compare.judging import judge, with_tolerances
from soaflow.compare.measuring import measure_files
from soaflow.compare.places import Place
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.verdict import Verdict, read_verdict, write_verdict
from soaflow.errors import ConfigError, StorageError
from soaflow.soa.layout import Item, ItemKind, Layout

PT = Item("pt", "float32", unit="GeV")
SCORES = Item("scores", "float64", ItemKind.EIGEN, (3,))
LABEL = Item("label", "int32")
Values = dict[str, np.ndarray[Any, Any]]
STRICT = Tolerance(1e-5, 1e-4)


def compare_files(reference: Path, candidate: Path, tolerances: Any, **options: Any) -> Verdict:
    return judge(measure_files(reference, candidate), tolerances, **options)


def changed(values: Values, **changes: np.ndarray[Any, Any]) -> Values:
    return {**{name: array.copy() for name, array in values.items()}, **changes}


def planted(name: str, change: Callable[[np.ndarray[Any, Any]], Any]) -> Callable[[Values], Values]:
    def plant(values: Values) -> Values:
        array = values[name].copy()
        change(array)
        return changed(values, **{name: array})

    return plant


def put(index: Any, value: float) -> Callable[[np.ndarray[Any, Any]], None]:
    return lambda array: array.__setitem__(index, value)


MUTATIONS = {
    "one value": planted("pt", put(17, 1e3)),
    "one value by a little": planted("scores", lambda a: a.__setitem__((255, 2), a[255, 2] + 1e-3)),
    "one integer": planted("label", put(299, 77)),
    "NaN at one place": planted("scores", put((0, 1), np.nan)),
    "infinity at one place": planted("pt", put(299, np.inf)),
    "shifted by a row": lambda v: {name: np.roll(array, 1, axis=0) for name, array in v.items()},
    "shifted output": lambda v: changed(v, scores=np.roll(v["scores"], 1, axis=0)),
    "swapped columns": lambda v: changed(v, scores=v["scores"][:, [1, 0, 2]]),
    "transposed planes": lambda v: changed(v, scores=v["scores"].T.reshape(-1, 3)),
    "last row left at zero": planted("pt", put(-1, 0.0)),
    "all zero": lambda v: {name: np.zeros_like(array) for name, array in v.items()},
    "sign": lambda v: changed(v, pt=-v["pt"]),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_planted_difference_fails(name: str, values: Values, write_predictions: Any) -> None:
    reference = write_predictions("reference", values)
    verdict = compare_files(reference, write_predictions("mutant", MUTATIONS[name](values)), STRICT)
    assert not verdict.passed
    assert compare_files(reference, write_predictions("same", values), Tolerance(0, 0)).passed


def test_places_are_named(values: Values, write_predictions: Any) -> None:
    scores = values["scores"].copy()
    scores[41, 2] += 0.5
    scores[7, 0] = np.nan
    verdict = compare_files(
        write_predictions("reference", values),
        write_predictions("jit", changed(values, scores=scores)),
        STRICT,
    )
    assert (verdict.dataset, verdict.model, verdict.variant) == ("toy", "Net", "jit")
    assert [shard.name for shard in verdict.shards] == ["0"]
    pt, found, label = (output.differences for output in verdict.outputs)
    assert pt.absolute.zeros == label.absolute.zeros == 300
    assert found.largest_absolute is not None
    assert (found.largest_absolute.row, found.largest_absolute.element) == (41, (2,))
    assert (found.mismatched_nan, found.first_mismatch) == (1, Place("0", 7))
    assert verdict.outputs[1].over_tolerance_at_most == 1
    assert [output.passed for output in verdict.outputs] == [True, False, True]
    assert verdict.outputs[1].minimum_absolute is None
    assert verdict.outputs[0].unit == "GeV"


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(rows: int, values: Values, write_predictions: Any, tmp_path: Path) -> None:
    few = {name: array[:rows] for name, array in values.items()}
    verdict = compare_files(write_predictions("reference", few), write_predictions("jit", few), STRICT)
    assert verdict.passed
    assert verdict.rows == rows
    write_verdict(tmp_path / "verdict.json", verdict)
    assert read_verdict(tmp_path / "verdict.json") == verdict


def test_judged_again_as_if_compared_again(values: Values, write_predictions: Any) -> None:
    noise = np.random.default_rng(5).normal(0, 1e-3, 300)
    other = changed(values, pt=(values["pt"] * (1 + noise)).astype(np.float32))
    paths = write_predictions("reference", values), write_predictions("jit", other)
    first = compare_files(*paths, STRICT)
    outcomes = set()
    for absolute in (0.0, 1e-2, 0.1, 1.0):
        for relative in (0.0, 1e-3, 2e-3, 1e-2):
            tolerance = Tolerance(absolute, relative)
            again, direct = with_tolerances(first, tolerance), compare_files(*paths, tolerance)
            assert again.passed == direct.passed
            outcomes.add(again.passed)
    assert outcomes == {True, False}
    needed = first.outputs[0].minimum_absolute
    assert needed is not None
    assert with_tolerances(first, Tolerance(needed * 1.000001, 1e-4)).passed
    assert not with_tolerances(first, Tolerance(needed * 0.999999, 1e-4)).passed
    assert with_tolerances(first, STRICT) == first


def test_written_twice_with_equal_bytes_and_read_back(
    values: Values, write_predictions: Any, tmp_path: Path
) -> None:
    other = changed(values, pt=values["pt"] + np.float32(0.5))
    paths = write_predictions("reference", values), write_predictions("jit", other)
    for name in ("one.json", "two.json"):
        write_verdict(tmp_path / name, compare_files(*paths, STRICT))
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert str(tmp_path) not in (tmp_path / "one.json").read_text()
    assert read_verdict(tmp_path / "one.json") == compare_files(*paths, STRICT)


def _set(path: list[Any], value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_set(["passed"], True), "contradicts the figures"),
        (_set(["outputs", 0, "passed"], True), "contradicts the figures"),
        (_set(["outputs", 0, "minimum_absolute"], 0.0), "contradicts the figures"),
        (_set(["outputs", 0, "over_tolerance_at_most"], 0), "contradicts the figures"),
        (_set(["accepted"], True), "contradicts the figures"),
        (_set(["failures"], []), "contradicts the figures"),
        (_set(["outputs", 0, "criteria", 0, "passed"], True), "contradicts the figures"),
        (_set(["outputs", 0, "criteria", 0, "allowed"], 2.0), "contradicts the figures"),
        (_set(["outputs", 0, "criteria"], []), "criteria of output pt contradict its figures"),
        (_set(["outputs", 0, "differences", "mismatched_nan"], 1), "does not count each finite value once"),
        (_set(["outputs", 0, "differences", "envelope"], []), "does not end at largest_absolute"),
        (_set(["outputs", 0, "differences", "absolute", "counts"], [1]), "1 bins, not 208"),
        (_set(["outputs", 0, "tolerance", "absolute"], -1), "tolerance is -1.0"),
        (_set(["outputs", 0, "differences", "mean_absolute"], 0.0), "contradicts the figures"),
        (_set(["outputs", 0, "differences", "quantiles_absolute", "0.5"], [0.0, 0.0]), "contradicts the fig"),
        (_set(["outputs", 0, "differences", "ulp", "largest"], 0), "not in the last bin that is filled"),
        (_set(["outputs", 0, "differences", "sum_absolute", "mantissa"], 2), "even mantissa"),
        (_set(["outputs", 0, "differences", "rows_bit_identical"], 301), "not a count of rows"),
        (_set(["rows"], 299), "contradicts the figures"),
        (_set(["shards", 0, "rows"], 299), "another number of rows"),
        (_set(["shards", 0, "rows"], "300"), r"verdict.shards\[0\].rows is '300', not int"),
        (_set(["shards"], []), "another number of rows"),
        (_set(["outputs"], None), "verdict.outputs is None, not a list"),
        (_set(["verdict_version"], 2), "verdict_version is 2 and not 3"),
        (_set(["extra"], 2), "unknown key 'extra'"),
        (lambda document: document.pop("dataset"), "no key 'dataset'"),
    ],
)
def test_changed_file_is_refused(
    change: Callable[[dict[str, Any]], None],
    sentence: str,
    values: Values,
    write_predictions: Any,
    tmp_path: Path,
) -> None:
    path = tmp_path / "verdict.json"
    verdict = compare_files(
        write_predictions("reference", values),
        write_predictions("jit", changed(values, pt=values["pt"] + 1)),
        STRICT,
    )
    write_verdict(path, verdict)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(StorageError, match=f"verdict.json is not a verdict.*{sentence}"):
        read_verdict(path)


def test_other_files_are_refused(values: Values, write_predictions: Any, tmp_path: Path) -> None:
    reference = write_predictions("reference", values)
    for key in ("dataset", "shard", "model"):
        other = write_predictions("jit", values, **{key: "other"})
        with pytest.raises(StorageError, match=f"jit.h5 is of {key} 'other' and .*reference.h5"):
            compare_files(reference, other, STRICT)
    short = write_predictions("jit", {name: array[:299] for name, array in values.items()})
    with pytest.raises(StorageError, match=r"jit.h5 has 299 rows and .* has 300: run inference"):
        compare_files(reference, short, STRICT)
    for pt, scores, label, sentence in (
        (Item("pt", "float64", unit="GeV"), SCORES, LABEL, r"item 'pt' \(float64 column \[\] in GeV\) where"),
        (Item("pt", "float32", unit="MeV"), SCORES, LABEL, r"'pt' \(float32 column \[\] in MeV\) where"),
        (Item("pt", "int32", unit="GeV"), SCORES, LABEL, r"'pt' \(int32 column \[\] in GeV\) where"),
        (
            PT,
            Item("scores", "float64", ItemKind.EIGEN, (3, 1)),
            LABEL,
            r"'scores' \(float64 eigen \[3, 1\]\) w",
        ),
        (PT, SCORES, Item("label", "int64"), r"'label' \(int64 column \[\]\) where"),
        (PT, LABEL, SCORES, r"'label' \(int32 column \[\]\) where .* has item 'scores'"),
    ):
        items = {"scores": values["scores"].reshape(-1, *scores.shape)} if scores.shape else {}
        other = write_predictions("jit", values | items, layout=Layout.of(pt, scores, label))
        with pytest.raises(StorageError, match=sentence):
            compare_files(reference, other, STRICT)
    fewer = Layout.of(Item("pt", "float32", unit="GeV"))
    with pytest.raises(StorageError, match=r"has 1 output items and .* has 3"):
        compare_files(reference, write_predictions("jit", values, layout=fewer), STRICT)
    with pytest.raises(StorageError, match=r"none.h5 cannot be read"):
        compare_files(reference, tmp_path / "none.h5", STRICT)
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(StorageError, match=r"list.json is not a verdict"):
        read_verdict(tmp_path / "list.json")


def test_rounding_of_the_candidate_is_seen_against_a_wider_reference(
    values: Values, write_predictions: Any
) -> None:
    exact = changed(values, pt=np.random.default_rng(2).exponential(30.0, 300))
    rounded = exact["pt"].astype(np.float32)
    wide = Layout.of(Item("pt", "float64", unit="GeV"), SCORES, LABEL)
    reference = write_predictions("reference", exact, layout=wide)

    candidate = write_predictions("jit", changed(exact, pt=rounded))
    found = compare_files(reference, candidate, STRICT).outputs[0].differences
    largest = found.largest_absolute
    by_hand = np.abs(rounded.astype(np.float64) - exact["pt"])
    assert found.absolute.zeros == np.count_nonzero(by_hand == 0) == 0
    assert largest is not None
    assert (largest.difference, largest.row) == (by_hand.max(), by_hand.argmax())
    assert (largest.reference, largest.value) == (exact["pt"][largest.row], float(rounded[largest.row]))
    # Half a unit in the last place of float32, relative to a number of at least 1 in its binade.
    assert found.largest_relative is not None
    assert 2.0**-26 < found.largest_relative.difference <= 2.0**-24
    assert not compare_files(reference, candidate, Tolerance(0, 1e-8)).passed
    assert compare_files(reference, candidate, Tolerance(0, 2.0**-24)).passed

    same = write_predictions("same", exact, layout=wide)
    equal = compare_files(reference, same, Tolerance(0, 0)).outputs[0]
    assert (equal.passed, equal.differences.absolute.zeros) == (True, 300)
    assert (equal.differences.largest_absolute, equal.minimum_absolute) == (None, 0.0)


def test_overflow_of_the_candidate_is_a_mismatch(values: Values, write_predictions: Any) -> None:
    exact = changed(values, pt=np.full(300, 1e39))
    wide = Layout.of(Item("pt", "float64", unit="GeV"), SCORES, LABEL)
    overflown = changed(values, pt=np.full(300, np.inf, np.float32))
    verdict = compare_files(
        write_predictions("reference", exact, layout=wide), write_predictions("jit", overflown), STRICT
    )
    assert verdict.outputs[0].differences.mismatched_infinity == 300
    assert not verdict.passed


def test_item_without_tolerance_is_named(values: Values, write_predictions: Any) -> None:
    reference = write_predictions("reference", values)
    with pytest.raises(ConfigError, match="item 'scores' has no tolerance: there are some for pt"):
        compare_files(reference, reference, {"pt": STRICT})
    by_item = {"pt": Tolerance(1, 0), "scores": STRICT, "label": STRICT}
    verdict: Verdict = compare_files(reference, reference, by_item)
    assert [output.tolerance for output in verdict.outputs] == list(by_item.values())
