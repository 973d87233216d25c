"""The outcomes of a whole run as a matrix: models by variants, counted and drawn.

The invariant: a cell is a pass only if every output of every dataset and shard in it passed.

>>> outputs = [{"passed": True}, {"passed": False}]
>>> matrix_of([{"model": "Net", "variant": "jit", "outputs": outputs}])
{'Net': {'jit': Cell(passed=1, failed=1)}}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.patches import Rectangle

from soaflow.report.documents import described_by, read_documents
from soaflow.report.style import FAIL, FAINT, PASS, headline, nothing_to_show, picture

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """All verdicts of one model in one variant.

    Parameters
    ----------
    passed, failed
        Numbers of outputs.
    """

    passed: int
    failed: int


def matrix_of(verdicts: Sequence[Document]) -> dict[str, dict[str, Cell]]:
    """Count outcomes by model and variant; both sorted by name, absent pairs left out."""
    outcomes: dict[str, dict[str, list[bool]]] = {}
    for verdict in sorted(verdicts, key=lambda entry: (entry["model"], entry["variant"])):
        found = outcomes.setdefault(verdict["model"], {}).setdefault(verdict["variant"], [])
        found += [bool(output["passed"]) for output in verdict["outputs"]]
    return {
        model: {name: Cell(sum(found), len(found) - sum(found)) for name, found in by_variant.items()}
        for model, by_variant in outcomes.items()
    }


def variants_of(matrix: Mapping[str, Mapping[str, Cell]]) -> list[str]:
    """Return the names of all variants, sorted."""
    return sorted({variant for by_variant in matrix.values() for variant in by_variant})


def outcome(cell: Cell) -> str:
    """Return a cell's text, such as `pass 2/2`."""
    total = cell.passed + cell.failed
    return f"FAIL {cell.failed}/{total}" if cell.failed else f"pass {cell.passed}/{total}"


def plot_verdict_matrix(verdicts: Sequence[Path | str], plot: Path | str) -> None:
    """Draw which models passed in which variants.

    Parameters
    ----------
    verdicts
        JSON files of the whole run.
    plot
        The picture to write.

    Raises
    ------
    StorageError
        If a file is not a verdict.
    OutputError
        If the picture cannot be written.
    """
    documents = read_documents(verdicts)
    with described_by(verdicts):
        matrix = matrix_of(documents)
    variants = variants_of(matrix)
    with picture(plot, 2.6 + 1.35 * max(2, len(variants)), 1.4 + 0.55 * max(1, len(matrix))) as figure:
        axes = figure.subplots()
        headline(axes, "verdicts", "outputs within tolerance")
        if not matrix:
            nothing_to_show(axes, "no verdicts")
            return
        for row, by_variant in enumerate(matrix.values()):
            for column, variant in enumerate(variants):
                cell = by_variant.get(variant)
                if cell is None:
                    axes.text(column, row, "–", ha="center", va="center", color=FAINT)
                    continue
                colour = FAIL if cell.failed else PASS
                corner, size = (column - 0.47, row - 0.44), (0.94, 0.88)
                axes.add_patch(Rectangle(corner, *size, facecolor=colour, edgecolor="none"))
                axes.text(
                    *(column, row, outcome(cell)), ha="center", va="center", color="white", weight="bold"
                )
        axes.set_xlim(-0.55, len(variants) - 0.45)
        axes.set_ylim(len(matrix) - 0.45, -0.55)
        axes.set_xticks(range(len(variants)), variants)
        axes.set_yticks(range(len(matrix)), list(matrix))
        axes.minorticks_off()
        axes.tick_params(length=0)
