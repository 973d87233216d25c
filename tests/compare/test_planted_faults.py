"""What must be caught: predictions of faulty runs, by tolerance, by yardstick, or by refusing them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soaflow.compare.judging import judge, with_yardstick
from soaflow.compare.measuring import measure_files
from soaflow.compare.summary import failures, summarise
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.verdict import Verdict, read_verdict, write_verdict
from soaflow.compare.yardstick import Yardstick
from soaflow.errors import StorageError
from soaflow.soa.layout import Item, Layout
from soaflow.soa.storage import EVENTS, writing

ROWS = 500
TOLERANCE = Tolerance(1e-5, 1e-4)
WIDE, NARROW = Layout.of(Item("out", "float64")), Layout.of(Item("out", "float32"))
Array = np.ndarray[Any, Any]
RANDOM = np.random.default_rng(4)
INPUTS = RANDOM.normal(size=(ROWS, 3)).astype(np.float32)
WEIGHTS = RANDOM.normal(size=(3, 8)), RANDOM.normal(size=8)


def model(inputs: Array, dtype: str, weights: tuple[Array, Array] = WEIGHTS) -> Array:
    first, last = (array.astype(dtype) for array in weights)
    return np.maximum(inputs.astype(dtype) @ first, 0) @ last


def perturbed_weight() -> Array:
    first = WEIGHTS[0].copy()
    first[1, 2] += 1e-5
    return model(INPUTS, "float32", (first, WEIGHTS[1]))


def with_nan() -> Array:
    values = model(INPUTS, "float32")
    values[77] = np.nan
    return values


FAULTS = {
    "perturbed weight": perturbed_weight,
    "swapped column": lambda: model(INPUTS[:, [1, 0, 2]], "float32"),
    "float16": lambda: model(INPUTS, "float16"),
    "batches off by one": lambda: np.roll(model(INPUTS, "float32"), 1),
    "NaN": with_nan,
}


@pytest.fixture
def compare(write_predictions: Any) -> Any:
    exact = write_predictions("reference", {"out": model(INPUTS, "float64")}, layout=WIDE)
    eager = write_predictions("eager", {"out": model(INPUTS, "float32")}, layout=NARROW)
    yard = measure_files(exact, eager)
    assert judge(yard, TOLERANCE).passed

    def run(
        values: Array, tolerance: Tolerance = TOLERANCE, measuring: Any = None, **options: Any
    ) -> Verdict:
        candidate = write_predictions("jit", {"out": values}, layout=NARROW)
        measured = measure_files(exact, candidate, **(measuring or {}))
        return judge(measured, tolerance, **{"yard": yard, "yardstick": Yardstick(2.0, 1e-7)} | options)

    return run


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault: str, compare: Any) -> None:
    assert compare(model(INPUTS, "float32")).passed
    verdict = compare(FAULTS[fault]())
    assert not verdict.passed
    assert len(failures([verdict])) == 1


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"perturbed weight"}))
def test_a_large_fault_is_caught_without_a_yardstick(fault: str, compare: Any) -> None:
    verdict = compare(FAULTS[fault](), yardstick=None)
    assert [failure.criterion for failure in verdict.failures] == [
        "not finite" if fault == "NaN" else "tolerance"
    ]


def test_small_fault_within_the_tolerances_is_caught_by_the_yardstick(compare: Any, tmp_path: Path) -> None:
    values = perturbed_weight()
    verdict = compare(values, Tolerance(1, 0))
    output = verdict.outputs[0]
    assert output.minimum_absolute <= 1
    assert not verdict.passed
    assert {failure.criterion for failure in verdict.failures} <= {"yardstick largest", "yardstick quantile"}
    assert "times the error" in failures([verdict])[0]
    assert "a factor of" in failures([verdict])[0]
    assert output.yard_ratio > 2
    assert summarise([verdict])[0].yard_ratio == output.yard_ratio

    needed = output.minimum_factor
    assert with_yardstick(verdict, Yardstick(needed * 1.0001, 1e-7)).passed
    assert not with_yardstick(verdict, Yardstick(needed * 0.9999, 1e-7)).passed
    assert compare(values, Tolerance(1, 0), yardstick=None).passed
    write_verdict(tmp_path / "verdict.json", verdict)
    assert read_verdict(tmp_path / "verdict.json") == verdict


@pytest.mark.parametrize(
    ("key", "sentence"),
    [("weights_sha256", "made with other weights"), ("events_sha256", "made from other events")],
)
def test_stale_predictions_are_refused(
    key: str, sentence: str, values: dict[str, Array], write_predictions: Any
) -> None:
    reference = write_predictions("reference", values, **{key: "new"})
    with pytest.raises(StorageError, match=f"jit.h5 was {sentence} than .*reference.h5"):
        measure_files(reference, write_predictions("jit", values, **{key: "old"}))
    # Predictions from elsewhere do not say what they were made from.
    for said in ({}, {key: "new"}):
        assert judge(measure_files(reference, write_predictions("jit", values, **said)), TOLERANCE).passed


def test_yard_of_other_predictions_is_refused(values: dict[str, Array], write_predictions: Any) -> None:
    reference = write_predictions("reference", values)
    few = {name: array[:10] for name, array in values.items()}
    other = write_predictions("other", few)
    yard = measure_files(other, other)
    with pytest.raises(StorageError, match=r"variant other, .* cannot be the yardstick .* other shards"):
        judge(measure_files(reference, reference), TOLERANCE, yard=yard)
    for key, what in (("weights_sha256", "weights"), ("events_sha256", "events"), ("model", "model")):
        mine = write_predictions("mine", values, **{key: "a"})
        theirs = write_predictions("theirs", values, **{key: "b"})
        measured, yard = measure_files(mine, mine), measure_files(theirs, theirs)
        with pytest.raises(StorageError, match=f"it is of other {what}; measure eager float32"):
            judge(measured, TOLERANCE, yard=yard)


def test_inputs_of_the_worst_rows_are_kept(compare: Any, tmp_path: Path) -> None:
    layout = Layout.of(
        Item("x", "float32"), Item("y", "float32"), Item("z", "float32"), Item("scale", "float32")
    )
    for rows in (ROWS, ROWS - 1):
        with writing(tmp_path / f"{rows}.h5", EVENTS, {"points": layout.place(rows)}, {}) as writer:
            for index, name in enumerate("xyz"):
                writer.write("points", name, INPUTS[:rows, index])
    chosen = {"points": ["x", "z"]}
    values = with_nan()
    values[[3, 5, 8]] += np.array([1, 3, 2], np.float32)
    verdict = compare(values, measuring={"events": tmp_path / f"{ROWS}.h5", "inputs": chosen})
    worst = verdict.outputs[0].differences.worst
    assert [row.row for row in worst[:4]] == [77, 5, 8, 3]
    assert (worst[0].difference, worst[0].value, worst[0].shard) == (None, "nan", "0")
    for row in worst:
        expected = [
            ("points/x", (str(INPUTS[row.row, 0].item()),)),
            ("points/z", (str(INPUTS[row.row, 2].item()),)),
        ]
        assert [(entry.item, entry.values) for entry in row.inputs] == expected
    with pytest.raises(StorageError, match="has 499 rows of 'points' and the predictions have 500"):
        compare(values, measuring={"events": tmp_path / f"{ROWS - 1}.h5", "inputs": chosen})
    write_verdict(tmp_path / "verdict.json", verdict)
    assert read_verdict(tmp_path / "verdict.json") == verdict
