"""The workflow's script that lets a run pass, alone and without Snakemake."""

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from soaflow.compare.judging import judge
from soaflow.compare.measuring import measure_files
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.verdict import write_verdict

SCRIPT = Path(__file__).parents[2] / "workflow" / "scripts" / "require_verdicts.py"


class Inputs(list[Path]):
    """A job's input as Snakemake gives it: all files, and by name."""

    @property
    def verdicts(self) -> list[Path]:
        return list(self)


def require(folder: Path, verdicts: list[Path]) -> None:
    job = SimpleNamespace(
        log=[folder / "passed.log"],
        input=Inputs(verdicts),
        output=SimpleNamespace(passed=folder / "passed.txt"),
    )
    runpy.run_path(str(SCRIPT), {"snakemake": job})


@pytest.mark.parametrize("exact", [True, False])
def test_only_passed_verdicts_let_a_run_pass(
    values: dict[str, Any], write_predictions: Any, tmp_path: Path, exact: bool
) -> None:
    reference = write_predictions("reference", values)
    candidate = write_predictions("jit", values if exact else values | {"pt": values["pt"] + 1})
    verdict = judge(measure_files(reference, candidate), Tolerance(1e-6, 0.0))
    write_verdict(tmp_path / "verdict.json", verdict)
    if exact:
        require(tmp_path, [tmp_path / "verdict.json"])
        assert (tmp_path / "passed.txt").read_text() == "3 of 3 outputs passed.\n"
    else:
        with pytest.raises(SystemExit, match="1"):
            require(tmp_path, [tmp_path / "verdict.json"])
        assert not (tmp_path / "passed.txt").exists()


def test_no_verdict_lets_no_run_pass(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        require(tmp_path, [])
    assert "there is no verdict, so nothing has passed" in (tmp_path / "passed.log").read_text()
    assert not (tmp_path / "passed.txt").exists()
