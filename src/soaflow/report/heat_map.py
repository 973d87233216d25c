"""The outcomes of a whole run as a heat map: outputs of models by variants, with how much room is left.

The margin of a cell is what was measured over what is allowed, of the question with the least room, over all
datasets. The invariant: a cell passes only if all its questions pass, and is waived only if every failure
in it is.

>>> asked = {"name": "tolerance", "measured": 3.0, "allowed": 4.0}
>>> output = {"item": "pt", "criteria": [asked, {"name": "ratio", "measured": 9.0, "allowed": None}]}
>>> verdict = {"model": "Net", "variant": "jit", "outputs": [output], "failures": []}
>>> heat_of([verdict])[("Net", "pt")]["jit"]
Cell(state='pass', question='tolerance', margin=0.75)
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from soaflow.report.documents import described_by, read_documents, variants_of
from soaflow.report.style import FAIL, FAINT, INK, PASS, headline, nothing_to_show, picture
from soaflow.report.verdict_matrix import state_of

Document = Mapping[str, Any]

STATES = ("pass", "waived", "fail")
"""Outcomes, the worst last."""

_PASSES = ((0.1, "#dcebf9"), (0.5, "#9cc6ee"), (math.inf, PASS))
"""Largest margins of the shades of a pass; a pass has at most 1."""

_WAIVED_GROUND = "#fbeeea"

_WIDTH, _HEIGHT = 1.5, 0.78
"""Of a cell, in inches."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The outcome of one output in one variant, over all datasets.

    Parameters
    ----------
    state
        One of `STATES`.
    question
        Name of the one with the least room; empty where nothing is limited.
    margin
        Of that: what was measured over what is allowed; infinite where nothing was measured, or nothing is
        allowed and something was measured.
    """

    state: str
    question: str
    margin: float

    @property
    def colour(self) -> str:
        """Of the cell."""
        if self.state != "pass":
            return {"waived": _WAIVED_GROUND, "fail": FAIL}[self.state]
        return next(colour for largest, colour in _PASSES if self.margin <= largest)

    @property
    def text(self) -> str:
        """Outcome, margin and question."""
        word = self.state.upper() if self.state == "fail" else self.state
        if not self.question:
            return f"{word}\nno limit"
        margin = "nothing allowed" if self.margin == math.inf else f"{_short(self.margin)} × allowed"
        return f"{word}\n{margin}\n{textwrap.shorten(self.question, 21, placeholder='…')}"


def heat_of(verdicts: Sequence[Document]) -> dict[tuple[str, str], dict[str, Cell]]:
    """Return the cells by model and output, then by variant, in the order of the verdicts."""
    found: dict[tuple[str, str], dict[str, Cell]] = {}
    for verdict in verdicts:
        for output in verdict["outputs"]:
            by_variant = found.setdefault((verdict["model"], output["item"]), {})
            cell = _cell(verdict, output)
            known = by_variant.get(verdict["variant"])
            by_variant[verdict["variant"]] = cell if known is None else _worse(known, cell)
    return found


def plot_heat_map(verdicts: Sequence[Path | str], plot: Path | str) -> None:
    """Draw which outputs passed in which variants, and with how much room.

    Parameters
    ----------
    verdicts
        JSON files of the whole run; models, outputs and variants are drawn in their order.
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
        heat = heat_of(documents)
        variants = variants_of(documents)
    width, height = 2.2 + _WIDTH * max(4, len(variants)), 1.5 + _HEIGHT * max(1, len(heat))
    with picture(plot, width, height) as figure:
        axes = figure.subplots()
        headline(axes, "verdicts", "the question with the least room, over all datasets")
        if not heat:
            nothing_to_show(axes, "no verdicts")
            return
        for row, by_variant in enumerate(heat.values()):
            for column, variant in enumerate(variants):
                _draw(axes, column, row, by_variant.get(variant))
        axes.set_xlim(-0.55, max(4, len(variants)) - 0.45)
        axes.set_ylim(len(heat) - 0.45, -0.55)
        axes.set_xticks(range(len(variants)), variants)
        axes.set_yticks(range(len(heat)), [f"{model}\n{item}" for model, item in heat])
        axes.minorticks_off()
        axes.tick_params(length=0)
        _explain(figure, {cell.state for by_variant in heat.values() for cell in by_variant.values()})


def _cell(verdict: Document, output: Document) -> Cell:
    margins = [
        (_margin(asked["measured"], asked["allowed"]), str(asked["name"]))
        for asked in output["criteria"]
        if asked["allowed"] is not None
    ]
    margin, question = max(margins, key=lambda pair: pair[0], default=(0.0, ""))
    return Cell(state_of(verdict, output["item"]), question, margin)


def _margin(measured: float | None, allowed: float) -> float:
    if measured is None:
        return math.inf
    return measured / allowed if allowed else math.inf if measured else 0.0


def _worse(first: Cell, other: Cell) -> Cell:
    return max(first, other, key=lambda cell: (STATES.index(cell.state), cell.margin))


def _draw(axes: Axes, column: int, row: int, cell: Cell | None) -> None:
    if cell is None:
        axes.text(column, row, "–", ha="center", va="center", color=FAINT)
        return
    corner, size = (column - 0.47, row - 0.45), (0.94, 0.9)
    box = Rectangle(corner, *size, facecolor=cell.colour, **_edge(cell.state))
    axes.add_patch(box)
    ink = "white" if cell.state == "fail" else INK
    word, *figures = cell.text.split("\n")
    axes.text(column, row - 0.24, word, ha="center", va="center", color=ink, weight="bold", size="small")
    axes.text(*(column, row + 0.14, "\n".join(figures)), ha="center", va="center", color=ink, size="x-small")


def _edge(state: str) -> dict[str, Any]:
    """Return how a cell is framed: a waived failure is no pass and no failure, in grey print too."""
    if state == "waived":
        return {"edgecolor": FAIL, "linewidth": 1.6, "linestyle": (0, (4, 2))}
    return {"linewidth": 0}


def _explain(figure: Figure, states: set[str]) -> None:
    """Write below the map what the colours mean; of waivers and failures only if there are some."""
    names = ("passed, up to 0.1 × what is allowed", "up to 0.5 ×", "up to 1 ×")
    patches = [Patch(color=colour, label=name) for (_, colour), name in zip(_PASSES, names, strict=True)]
    if "waived" in states:
        patches.append(Patch(facecolor=_WAIVED_GROUND, label="failed, waived", **_edge("waived")))
    if "fail" in states:
        patches.append(Patch(color=FAIL, label="failed"))
    figure.legend(
        handles=patches, loc="outside lower center", ncols=len(patches), handlelength=1.2, columnspacing=1.2
    )


def _short(margin: float) -> str:
    """Return a margin that is never rounded to 1 from either side.

    >>> _short(0.0), _short(0.034), _short(0.9996), _short(1.0004), _short(31.4), _short(2e9)
    ('0', '0.034', '0.999', '1.001', '31', '2e+09')
    """
    if 0.99 < margin < 1:
        return f"{math.floor(margin * 1000) / 1000:g}"
    if 1 < margin < 1.01:
        return f"{math.ceil(margin * 1000) / 1000:g}"
    return f"{margin:.2g}"
