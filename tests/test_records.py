from dataclasses import dataclass
from typing import Any

import pytest

from soaflow.records import from_json, to_json


@dataclass(frozen=True, slots=True)
class Inner:
    row: int | None
    name: str


@dataclass(frozen=True, slots=True)
class Outer:
    share: float
    sure: bool
    inner: Inner | None
    points: tuple[tuple[float, float], ...]


GOOD: dict[str, Any] = {
    "share": 0.5,
    "sure": True,
    "inner": {"row": None, "name": "x"},
    "points": [[1.0, 2.0], [3, 4]],
}


def test_round_trip() -> None:
    record = from_json(Outer, GOOD, "outer")
    assert record == Outer(0.5, True, Inner(None, "x"), ((1.0, 2.0), (3.0, 4.0)))
    assert from_json(Outer, to_json(record), "outer") == record
    assert from_json(Outer, GOOD | {"inner": None}, "outer").inner is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"share": "0.5"}, "outer.share is '0.5', not float"),
        ({"share": True}, "outer.share is True, not float"),
        ({"share": float("nan")}, "outer.share is nan, not float"),
        ({"sure": 1}, "outer.sure is 1, not bool"),
        ({"inner": {"row": True, "name": "x"}}, "outer.inner.row is True, not int"),
        ({"inner": {"row": 1}}, "outer.inner has no key 'name'"),
        ({"inner": {"row": 1, "name": "x", "z": 1}}, "outer.inner has the unknown key 'z'"),
        ({"inner": []}, r"outer.inner is \[\], not a mapping"),
        ({"points": {}}, r"outer.points is {}, not a list"),
        ({"points": [[1.0]]}, r"outer.points\[0\] has 1 entries, not 2"),
        ({"points": [[1.0, None]]}, r"outer.points\[0\]\[1\] is None, not float"),
    ],
)
def test_anything_else_is_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        from_json(Outer, GOOD | change, "outer")
