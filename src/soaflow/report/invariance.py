"""Which bits of an output change with the batch that a row is in, when it is run again, and between variants.

The invariant: a cell shows the worst of all datasets, and says "same bits" only if no bit differs in any.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from soaflow.report.documents import described_by, read_documents
from soaflow.report.style import FAIL, FAINT, INK, counted, headline, nothing_to_show, picture, with_unit

SAME = "#c9dff2"
"""Colour of the same bits."""

DECADES = (
    ("below 10 ULP", "#fee8b0"),
    ("below 100", "#fdc35f"),
    ("below 1000", "#f0922b"),
    ("below 10 000", "#c86414"),
    ("10 000 and more", "#7f3a0c"),
)
"""From pale to dark, so that they stay in order in grey print."""

CELL_WIDTH, CELL_HEIGHT = 1.12, 0.6
"""In inches."""

_AGAIN = "run again"


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """How far two outputs are apart, over one or more datasets; the worse one is the greater.

    Parameters
    ----------
    rows_differing
        In which a bit differs.
    mismatches
        Values that are NaN or infinite on one side alone.
    largest_ulp, largest_absolute
        Of all rows.
    """

    mismatches: int
    largest_ulp: int
    largest_absolute: float
    rows_differing: int

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self:
        """Take from a file what is shown."""
        return cls(
            *(found[key] for key in ("mismatches", "largest_ulp", "largest_absolute", "rows_differing"))
        )

    @property
    def text(self) -> str:
        r"""What the cell says.

        >>> Cell(0, 0, 0.0, 0).text, Cell(0, 12, 3.4e-6, 5).text, Cell(2, 0, 0.0, 2).text
        ('same bits', '12 ULP\n3.4e-06', 'NaN or inf\n2 values')
        """
        if self.mismatches:
            return f"NaN or inf\n{counted(self.mismatches, 'value')}"
        if not self.rows_differing:
            return "same bits"
        if not self.largest_ulp:
            return "sign of 0"
        ulp = str(self.largest_ulp) if self.largest_ulp < 100_000 else f"{self.largest_ulp:.1e}"
        return f"{ulp} ULP\n{self.largest_absolute:.2g}"

    @property
    def colour(self) -> str:
        """Of the cell, by the decade of its distance."""
        if not self.rows_differing:
            return SAME
        if self.mismatches:
            return FAIL
        decade = int(math.log10(max(1, self.largest_ulp)))
        return DECADES[min(decade, len(DECADES) - 1)][1]


Cells = dict[tuple[str, str], Cell]
"""By the names of the row and the column."""


@dataclass(frozen=True, slots=True)
class Matrices:
    """What is shown of one output item.

    Parameters
    ----------
    item, unit
        Of the output.
    batches
        By variant, and the size of a batch or "run again".
    pairs
        By two variants, the later one first.
    """

    item: str
    unit: str
    batches: Cells
    pairs: Cells


def matrices_of(
    invariance: Sequence[Mapping[str, Any]], pairs: Sequence[Mapping[str, Any]]
) -> list[Matrices]:
    """Arrange what was measured by output item.

    Parameters
    ----------
    invariance
        What `soaflow.invariance` wrote of a model, for each variant and dataset.
    pairs
        What `soaflow.compare.measuring_pairs` wrote of the same model, for each dataset.
    """
    found: dict[str, Matrices] = {}

    def add(part: str, row: str, column: str, outputs: Sequence[Mapping[str, Any]]) -> None:
        for output in outputs:
            item = output["item"]
            matrices = found.setdefault(item, Matrices(item, output["unit"], {}, {}))
            cells: Cells = getattr(matrices, part)
            cell = Cell.of(output["sameness"])
            cells[row, column] = max(cell, cells.get((row, column), cell))

    for document in invariance:
        for batches in document["batches"]:
            add("batches", document["variant"], str(batches["size"]), batches["outputs"])
        add("batches", document["variant"], _AGAIN, document["rerun"])
    for document in pairs:
        order = document["variants"]
        for pair in document["pairs"]:
            earlier, later = sorted((pair["first"], pair["other"]), key=order.index)
            add("pairs", later, earlier, pair["outputs"])
    return list(found.values())


def plot_invariance(
    invariance: Sequence[Path | str], pairs: Sequence[Path | str], plot: Path | str, *, model: str
) -> None:
    """Draw, for each output of a model, batch sizes by variants and variants by variants.

    Parameters
    ----------
    invariance, pairs
        The files of the model.
    plot
        The picture to write.
    model
        Its name.

    Raises
    ------
    StorageError
        If a file is not such a measurement.
    OutputError
        If the picture cannot be written.
    """
    documents = read_documents(invariance), read_documents(pairs)
    with described_by([*invariance, *pairs]):
        matrices = matrices_of(*documents)
        ran = [counted(document["rows"], "row") for document in documents[0]]
        compared = counted(sum(document["rows"] for document in documents[1]), "row")
    columns = (
        [max(2, _columns(one.batches)) for one in matrices],
        [max(2, _columns(one.pairs)) for one in matrices],
    )
    widths = [max(column, default=2) for column in columns]
    rows = max((len(_names(cells, 0)) for one in matrices for cells in (one.batches, one.pairs)), default=1)
    height = 1.0 + max(1, len(matrices)) * (1.25 + CELL_HEIGHT * max(2, rows))
    with picture(plot, 4.2 + CELL_WIDTH * sum(widths), height) as figure:
        axes = figure.subplots(max(1, len(matrices)), 2, width_ratios=widths, squeeze=False)
        if not matrices:
            for one in axes.flat:
                nothing_to_show(one, "no outputs")
        for (left, right), one in zip(axes, matrices, strict=False):
            headline(left, f"{model}  {with_unit(one.item, one.unit)}", " and ".join(dict.fromkeys(ran)))
            _draw(left, one.batches, "rows of a batch, against one call for all rows")
            headline(right, "Variants", compared)
            _draw(right, one.pairs, "", nothing="one variant: there are no pairs")
        _legend(figure)


def _names(cells: Cells, part: int) -> list[str]:
    return list(dict.fromkeys(key[part] for key in cells))


def _columns(cells: Cells) -> int:
    return len(_names(cells, 1))


def _draw(axes: Axes, cells: Cells, label: str, *, nothing: str = "not measured") -> None:
    if not cells:
        nothing_to_show(axes, nothing)
        return
    rows, columns = _names(cells, 0), _names(cells, 1)
    for (row, column), cell in cells.items():
        place = columns.index(column), rows.index(row)
        corner, size = (place[0] - 0.48, place[1] - 0.46), (0.96, 0.92)
        frame = FAIL if column == _AGAIN and cell.rows_differing else "none"
        axes.add_patch(Rectangle(corner, *size, facecolor=cell.colour, edgecolor=frame, linewidth=2.5))
        dark = cell.colour in (FAIL, DECADES[-1][1], DECADES[-2][1])
        axes.text(
            *(*place, cell.text),
            ha="center",
            va="center",
            size="x-small",
            linespacing=1.15,
            color="white" if dark else INK,
        )
    axes.set_xlim(-0.55, len(columns) - 0.45)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.set_xticks(range(len(columns)), columns, size="small")
    axes.set_yticks(range(len(rows)), rows, size="small")
    axes.set_xlabel(label, size="small")
    axes.minorticks_off()
    axes.tick_params(length=0)


def _legend(figure: Figure) -> None:
    patches = [
        Patch(facecolor=colour, label=label)
        for label, colour in (("same bits", SAME), *DECADES, ("NaN or infinite on one side", FAIL))
    ]
    legend = figure.legend(
        handles=patches,
        loc="outside lower center",
        ncols=4,
        fontsize="small",
        handlelength=1.2,
        title="largest distance of a value; below it, the largest absolute difference",
        title_fontsize="small",
    )
    for text in (*legend.get_texts(), legend.get_title()):
        text.set_color(FAINT)
