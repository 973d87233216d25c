"""What the configuration may say of observables, and which column of the predictions they are of."""

from dataclasses import asdict
from typing import Any

import pytest

from soaflow.compare.observables import Column, Limits, Observable, Truth, observables_of
from soaflow.errors import ConfigError
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput

JETS = Layout.of(
    Item("pt", "float32"), Item("flavour", "int32"), Item("cells", "float32", ItemKind.EIGEN, (2,))
)
EVENTS = Layout.of(Item("weight", "float32"))
SIGNATURE = Signature(
    (
        TensorInput("jets", "jets", JETS, ("pt",)),
        TensorInput("weights", "events", EVENTS, ("weight",), rows="whole"),  # type: ignore[arg-type]
    ),
    (
        TensorOutput("b", ("b",)),
        TensorOutput("flavours", ("c0", "c1", "c2")),
        TensorOutput("vector", ("vector",)),
        TensorOutput("matrix", ("matrix",)),
        TensorOutput("vectors", ("v0", "v1")),
    ),
    Layout.of(
        *(Item(name, "float32") for name in ("b", "c0", "c1", "c2")),
        Item("vector", "float32", ItemKind.EIGEN, (4,)),
        Item("matrix", "float32", ItemKind.EIGEN, (2, 3)),
        Item("v0", "float64", ItemKind.EIGEN, (3,)),
        Item("v1", "float64", ItemKind.EIGEN, (3,)),
    ),
)
LOOSE = [{"name": "loose", "threshold": 0.2}]
SCORE = {"name": "b_tag", "kind": "score", "output": "b", "working_points": LOOSE}
FLAVOUR = {"collection": "jets", "item": "flavour"}
PT = {"collection": "jets", "item": "pt"}
CLASS = {"name": "flavour", "kind": "class", "output": "flavours"}
REGRESSION = {"name": "pt", "kind": "regression", "output": "b", "truth": PT}


def one(entry: dict[str, Any]) -> tuple[Observable, Limits]:
    (made,) = observables_of([entry], SIGNATURE)
    return made


@pytest.mark.parametrize(
    ("output", "element", "column"),
    [
        ("b", None, Column("b")),
        ("b", [0], Column("b")),
        ("flavours", [1], Column("c1")),
        ("vector", [3], Column("vector", (3,))),
        ("matrix", [1, 2], Column("matrix", (1, 2))),
        ("vectors", [1, 2], Column("v1", (2,))),
    ],
)
def test_an_element_is_one_of_the_output_tensor(output: str, element: Any, column: Column) -> None:
    entry = {**SCORE, "output": output} | ({} if element is None else {"element": element})
    assert one(entry)[0].columns == (column,)


def test_a_class_is_of_all_columns() -> None:
    assert one(CLASS)[0].columns == (Column("c0"), Column("c1"), Column("c2"))
    found, _ = one({**CLASS, "output": "vector", "truth": FLAVOUR})
    assert found.columns == tuple(Column("vector", (index,)) for index in range(4))
    assert found.truth == Truth("jets", "flavour")


def test_params_of_a_job_give_the_observable_back() -> None:
    for entry in ({**SCORE, "truth": {**FLAVOUR, "equals": 5}}, SCORE, CLASS, REGRESSION):
        made, _ = one(entry)
        assert Observable.from_mapping(asdict(made)) == made


def test_limits_are_those_given_and_no_others() -> None:
    tolerances = {"flips": 0.001, "efficiency_shift": 1, "auc_shift": 0}
    _, limits = one({**SCORE, "truth": FLAVOUR, "tolerances": tolerances})
    assert limits == Limits(flips=0.001, efficiency_shift=1.0, auc_shift=0.0)
    assert one(SCORE)[1] == Limits()


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({**SCORE, "output": "c"}, "'b_tag': the model has no output 'c': choose one of b, flavours"),
        ({**SCORE, "element": [1]}, r"output 'b' has the shape \[1\] a row: give an element of 1 numbers"),
        (
            {**SCORE, "output": "matrix", "element": [1]},
            r"shape \[2, 3\] a row: give an element of 2 numbers",
        ),
        ({**SCORE, "output": "matrix", "element": [1, 3]}, "inside of it"),
        ({**SCORE, "output": "vector"}, "give an element of 1 numbers"),
        ({**CLASS, "output": "matrix"}, r"a class needs an output of shape \[classes\]"),
        ({**CLASS, "output": "b"}, r"a class needs an output of shape \[classes\]"),
        ({**CLASS, "element": [1]}, "and no element"),
        ({**CLASS, "working_points": LOOSE}, "give working_points to a score, and to nothing else"),
        ({"name": "b_tag", "kind": "score", "output": "b"}, "give working_points to a score"),
        ({**SCORE, "working_points": LOOSE * 2}, "has two working points 'loose': rename one"),
        ({**SCORE, "working_points": [{"name": "a", "threshold": float("inf")}]}, "give a finite number"),
        ({"name": "pt", "kind": "regression", "output": "b"}, "is a regression and has no truth: add one"),
        ({**REGRESSION, "truth": {**PT, "equals": 5}}, "is a regression, whose truth has no key equals"),
        ({**SCORE, "truth": {"collection": "events", "item": "weight"}}, "predicts for the rows of 'jets'"),
        ({**SCORE, "truth": {**PT, "item": "ptt"}}, "no item 'ptt': collection 'jets' has pt, flavour"),
        ({**SCORE, "truth": {**PT, "item": "cells"}}, "item 'cells' is of kind eigen: choose a column"),
        ({**CLASS, "truth": PT}, "item 'pt' is of float32: the truth of a class is a column of integers"),
        (
            {**SCORE, "tolerances": {"auc_shift": 1}},
            "a tolerance auc_shift, and this score without truth has",
        ),
        (
            {**REGRESSION, "tolerances": {"flips": 1}},
            "this regression with truth has resolution_shift, bias_",
        ),
        ({**SCORE, "tolerances": {"flips": -1}}, "the tolerance flips is -1.0: give a number of 0 or more"),
    ],
)
def test_what_does_not_fit_is_refused(entry: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        one(entry)


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="two entries are named 'b_tag': rename one"):
        observables_of([SCORE, SCORE], SIGNATURE)
