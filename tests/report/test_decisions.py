"""Shifts as the picture shows them, and pictures of any number of variants and rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from soaflow.compare.classification import Classification
from soaflow.compare.decisions import (
    ClassFigures,
    Decisions,
    NotANumber,
    RegressionFigures,
    ScoreFigures,
    write_decisions,
)
from soaflow.compare.measurement import Shard
from soaflow.compare.resolution import Resolution
from soaflow.compare.separation import Separation
from soaflow.compare.working_points import AtWorkingPoint, Flip
from soaflow.errors import StorageError
from soaflow.files import read_json
from soaflow.physics.efficiency import Efficiency
from soaflow.physics.response import Response
from soaflow.report.decisions import frames_of, plot_decisions

NONE = NotANumber(0, 0)
NOBODY = Efficiency(0, 0, 0, 0)
FLIPS = tuple(Flip("0", row, ("0.4",), ("0.6",)) for row in range(3))


def decisions(variant: str, dataset: str = "ttbar", *, rows: int = 100, truth: bool = True) -> Decisions:
    signal, background = Efficiency(20, 15, 2, 0), Efficiency(80, 25, 0, 1)
    everything = signal + background
    if not rows:
        everything = signal = background = NOBODY
    point = AtWorkingPoint(
        *("loose", 0.5, FLIPS if rows else (), everything),
        *((signal, background) if truth else (None, None)),
    )
    area = Separation(20, 80, 1, 2400, 2384) if rows else Separation(0, 0, 0, 0, 0)
    by_class = (Efficiency(60, 50, 0, 0), Efficiency(40, 30, 0, 2)) if rows else (NOBODY, NOBODY)
    decided = Classification(rows, 3 if rows else 0, FLIPS if rows else (), by_class if truth else ())
    response = (
        Resolution(90, 4, 6, Response(0.02, 0.1), Response(0.015, 0.125))
        if rows
        else Resolution(0, 0, 0, None, None)
    )
    return Decisions(
        *(dataset, "Net", variant, "", (Shard("0", rows, ""),)),
        (ScoreFigures("b_tag", "b", "", NONE, (point,), area if truth else None),),
        (ClassFigures("kind", "classes", "", NONE, decided),),
        (RegressionFigures("pt", "b", "jets/gen_pt", response),),
    )


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Decisions], Path]:
    def write(found: Decisions) -> Path:
        path = tmp_path / f"{found.dataset}.{found.variant}.json"
        write_decisions(path, found)
        return path

    return write


def test_frames_say_what_was_found(write: Any) -> None:
    frames = {frame.title: frame for frame in frames_of([read_json(write(decisions("half")))])}
    assert list(frames) == [
        "b_tag at loose: ≥ 0.5",
        "AUC of b_tag",
        "class kind",
        "resolution of pt",
        "bias of pt",
    ]
    point = frames["b_tag at loose: ≥ 0.5"]
    (line,) = point.lines
    assert (line.label, line.note) == ("half", "41.00 %, 3 flips")
    assert [found.shift for found in line.found] == pytest.approx([1.0, 10.0, -1.25])
    assert [found.error for found in line.found] == pytest.approx([1.7292, 6.7082, 1.2422], abs=1e-4)
    assert point.kinds == ("all rows: 40.0 ± 4.9 %", "signal: 75.0 ± 9.7 %", "background: 31.2 ± 5.2 %")
    assert point.smallest == 1.0
    assert frames["AUC of b_tag"].lines[0].note == "0.745, -5.0e-03"
    right = frames["class kind"].lines[0]
    assert ([found.shift for found in right.found], right.note) == (
        pytest.approx([-2, -5]),
        "78.00 %, 3 flips",
    )
    assert frames["bias of pt"].lines[0].found[0].shift == pytest.approx(-0.005)
    assert frames["resolution of pt"].kinds == ("reference 0.1",)


def test_datasets_are_named_where_there_are_several(write: Any) -> None:
    documents = [read_json(write(decisions("jit", name))) for name in ("ttbar", "dijet")]
    labels = [line.label for line in next(frames_of(documents)).lines]
    assert labels == ["jit, ttbar", "jit, dijet"]


@pytest.mark.parametrize("rows", [0, 100])
@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize("variants", [["jit"], [f"variant_{index}" for index in range(9)]])
def test_any_number_of_variants_and_rows(
    rows: int, truth: bool, variants: list[str], write: Any, tmp_path: Path
) -> None:
    paths = [write(decisions(variant, rows=rows, truth=truth)) for variant in variants]
    for name in ("one", "two"):
        plot_decisions(paths, tmp_path / f"{name}.svg", model="Net")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"dataset": "ttbar"}')
    with pytest.raises(StorageError, match=r"a\.json lacks a key"):
        plot_decisions([tmp_path / "a.json"], tmp_path / "a.svg", model="Net")
    assert not (tmp_path / "a.svg").exists()
