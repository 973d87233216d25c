"""The outcomes of a whole run as a matrix: models by variants, counted and drawn.

The invariant: a cell is a pass only if every output of every dataset in it passed, and waived only if every
failure in it is waived.

>>> outputs, failures = [{"item": "pt"}, {"item": "eta"}], [{"item": "eta", "waived": False}]
>>> matrix_of([{"model": "Net", "variant": "jit", "outputs": outputs, "failures": failures}])
{'Net': {'jit': Cell(passed=1, waived=0, failed=1)}}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.patches import Rectangle

from soaflow.report.documents import described_by, read_documents
from soaflow.report.style import FAIL, FAINT, PASS, WAIVED, headline, nothing_to_show, picture

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """All verdicts of one model in one variant.

    Parameters
    ----------
    passed, waived, failed
        Numbers of outputs.
    """

    passed: int
    waived: int
    failed: int

    @property
    def total(self) -> int:
        """Number of all outputs."""
        return self.passed + self.waived + self.failed

    @property
    def state(self) -> str:
        """The worst outcome in the cell."""
        return "fail" if self.failed else "waived" if self.waived else "pass"


def state_of(verdict: Document, item: str) -> str:
    """Return `pass`, `waived` or `fail`: an output is waived when each of its failures is."""
    waived = [bool(failure["waived"]) for failure in verdict["failures"] if failure["item"] == item]
    return "pass" if not waived else "waived" if all(waived) else "fail"


def matrix_of(verdicts: Sequence[Document]) -> dict[str, dict[str, Cell]]:
    """Count outcomes by model and variant; both sorted by name, absent pairs left out."""
    outcomes: dict[str, dict[str, list[str]]] = {}
    for verdict in sorted(verdicts, key=lambda entry: (entry["model"], entry["variant"])):
        found = outcomes.setdefault(verdict["model"], {}).setdefault(verdict["variant"], [])
        found += [state_of(verdict, output["item"]) for output in verdict["outputs"]]
    return {
        model: {
            name: Cell(*(found.count(state) for state in ("pass", "waived", "fail")))
            for name, found in by_variant.items()
        }
        for model, by_variant in outcomes.items()
    }


def variants_of(matrix: Mapping[str, Mapping[str, Cell]]) -> list[str]:
    """Return the names of all variants, sorted."""
    return sorted({variant for by_variant in matrix.values() for variant in by_variant})


def outcome(cell: Cell) -> str:
    """Return a cell's text, such as `pass 2/2`."""
    counts = {"fail": cell.failed, "waived": cell.waived, "pass": cell.passed}
    word = cell.state.upper() if cell.failed else cell.state
    return f"{word} {counts[cell.state]}/{cell.total}"


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
        headline(axes, "verdicts", "outputs that passed, or failed with a waiver")
        if not matrix:
            nothing_to_show(axes, "no verdicts")
            return
        for row, by_variant in enumerate(matrix.values()):
            for column, variant in enumerate(variants):
                cell = by_variant.get(variant)
                if cell is None:
                    axes.text(column, row, "–", ha="center", va="center", color=FAINT)
                    continue
                colour = {"pass": PASS, "waived": WAIVED, "fail": FAIL}[cell.state]
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
