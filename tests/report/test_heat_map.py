"""The heat map of the verdicts: what a cell says, and that it is drawn at any size."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soaflow.files import write_json
from soaflow.report.heat_map import Cell, heat_of, plot_heat_map

Criterion = tuple[str, float | None, float | None]


def verdict(
    criteria: Sequence[Criterion], *, model: str = "Net", variant: str = "jit", waived: bool = False
) -> dict[str, Any]:
    """Return a verdict as the comparison writes it, of one output."""
    asked = [dict(zip(("name", "measured", "allowed"), entry, strict=True)) for entry in criteria]
    failed = [
        {"item": "pt", "criterion": name, "waived": waived}
        for name, measured, allowed in criteria
        if allowed is not None and (measured is None or measured > allowed)
    ]
    outputs = [{"item": "pt", "criteria": asked}]
    return {"model": model, "variant": variant, "outputs": outputs, "failures": failed}


def cell(*verdicts: dict[str, Any]) -> Cell:
    return heat_of(verdicts)["Net", "pt"]["jit"]


def test_the_question_with_the_least_room_is_shown() -> None:
    room = cell(verdict([("tolerance", 1.0, 4.0), ("yardstick", 3.0, 4.0), ("shown", 9.0, None)]))
    assert room == Cell("pass", "yardstick", 0.75)
    assert room.text == "pass\n0.75 × allowed\nyardstick"
    failed = cell(verdict([("tolerance", 1.0, 4.0), ("not finite", 2.0, 0.0)]))
    assert failed == Cell("fail", "not finite", np.inf)
    assert failed.text == "FAIL\nnothing allowed\nnot finite"
    assert cell(verdict([("flips", None, 0.1)])).state == "fail"
    assert cell(verdict([("flips", 0.0, 0.0)])) == Cell("pass", "flips", 0.0)
    assert cell(verdict([("shown", 9.0, None)])).text == "pass\nno limit"


def test_the_worst_dataset_counts() -> None:
    passed, waived, failed = (
        verdict([("tolerance", 3.9, 4.0)]),
        verdict([("tolerance", 5.0, 4.0)], waived=True),
        verdict([("tolerance", 4.1, 4.0)]),
    )
    assert cell(passed, waived).state == cell(waived, passed).state == "waived"
    assert cell(passed, failed, waived) == cell(waived, failed, passed) == Cell("fail", "tolerance", 4.1 / 4)
    assert len({cell(v).colour for v in (passed, waived, failed)}) == 3


@pytest.mark.parametrize(("models", "variants"), [(0, 0), (1, 1), (6, 7)])
def test_any_number_of_cells_is_drawn(models: int, variants: int, tmp_path: Path) -> None:
    paths = []
    for model in range(models):
        for variant in range(variants if model else 1):
            margin = 10.0 ** (variant - 3)
            entry = verdict(
                [("a question with a rather long name", margin, 1.0)],
                model=f"Net{model}",
                variant=f"v{variant}",
                waived=bool(model % 2),
            )
            paths.append(tmp_path / f"{model}.{variant}.json")
            write_json(paths[-1], entry)
    for name in ("one.svg", "two.svg"):
        plot_heat_map(paths, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_of_the_comparisons_own_verdicts(write_verdict_of: Callable[..., Path], tmp_path: Path) -> None:
    """The keys are those of `soaflow.compare.verdict`, which the report must not import."""
    paths = [write_verdict_of([1.0, 1.00001]), write_verdict_of([1.0, np.nan], variant="aot")]
    plot_heat_map(paths, tmp_path / "plot.svg")
    plot_heat_map(paths[:1], tmp_path / "other.svg")
    assert (tmp_path / "plot.svg").read_bytes() != (tmp_path / "other.svg").read_bytes()
