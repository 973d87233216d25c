"""The outcomes of a whole run as a matrix: models by variants, counted.

The invariant: a cell is a pass only if every output of every dataset in it passed, and waived only if every
failure in it is waived.

>>> outputs, failures = [{"item": "pt"}, {"item": "eta"}], [{"item": "eta", "waived": False}]
>>> matrix_of([{"model": "Net", "variant": "jit", "outputs": outputs, "failures": failures}])
{'Net': {'jit': Cell(passed=1, waived=0, failed=1)}}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
