"""All verdicts on one page, and as a matrix of models and variants.

The page is one HTML file that loads nothing: no scripts, fonts or pictures from elsewhere. The matrix
comes first; under it stands every output of every verdict, those that failed with their rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.patches import Rectangle

from soaflow.files import write_text
from soaflow.report.documents import described_by, read_documents
from soaflow.report.style import FAIL, FAINT, PASS, counted, headline, nothing_to_show, picture

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


def write_verdict_table(verdicts: Sequence[Path | str], table: Path | str) -> None:
    """Write the page of all verdicts.

    Parameters
    ----------
    verdicts
        JSON files of the whole run.
    table
        The HTML file to write.

    Raises
    ------
    StorageError
        If a file is not a verdict.
    OutputError
        If the page cannot be written.
    """
    documents = read_documents(verdicts)
    with described_by(verdicts):
        write_text(table, _page(documents))


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
    variants = _variants(matrix)
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
                    *(column, row, _outcome(cell)), ha="center", va="center", color="white", weight="bold"
                )
        axes.set_xlim(-0.55, len(variants) - 0.45)
        axes.set_ylim(len(matrix) - 0.45, -0.55)
        axes.set_xticks(range(len(variants)), variants)
        axes.set_yticks(range(len(matrix)), list(matrix))
        axes.minorticks_off()
        axes.tick_params(length=0)


def _variants(matrix: Mapping[str, Mapping[str, Cell]]) -> list[str]:
    return sorted({variant for by_variant in matrix.values() for variant in by_variant})


def _outcome(cell: Cell) -> str:
    total = cell.passed + cell.failed
    return f"FAIL {cell.failed}/{total}" if cell.failed else f"pass {cell.passed}/{total}"


def _page(documents: Sequence[Document]) -> str:
    matrix = matrix_of(documents)
    cells = [cell for by_variant in matrix.values() for cell in by_variant.values()]
    failed, total = sum(c.failed for c in cells), sum(c.passed + c.failed for c in cells)
    sentence = (
        f"{failed} of {counted(total, 'output')} failed."
        if failed
        else f"Every output is within tolerance ({counted(total, 'output')})."
    )
    sections = [_section(model, documents) for model in matrix]
    return _PAGE.format(
        style=_CSS,
        state="fail" if failed else "pass",
        sentence=sentence,
        matrix=_matrix_table(matrix),
        sections="\n".join(sections),
    )


def _matrix_table(matrix: Mapping[str, Mapping[str, Cell]]) -> str:
    variants = _variants(matrix)
    head = "".join(f"<th scope='col'>{escape(variant)}</th>" for variant in variants)
    body = []
    for model, by_variant in matrix.items():
        cells = [_matrix_cell(by_variant.get(variant)) for variant in variants]
        body.append(f"<tr><th scope='row'>{escape(model)}</th>{''.join(cells)}</tr>")
    return (
        f"<table class='matrix'><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    )


def _matrix_cell(cell: Cell | None) -> str:
    if cell is None:
        return "<td class='none'>–</td>"
    return f"<td class='{'fail' if cell.failed else 'pass'}'>{_outcome(cell)}</td>"


_COLUMNS = (
    *("dataset", "shard", "variant", "output", "verdict", "rows", "over", "NaN/Inf"),
    *("largest difference", "at row", "mean", "relative", "tolerance", "would pass at"),
)


def _section(model: str, documents: Sequence[Document]) -> str:
    chosen = [document for document in documents if document["model"] == model]
    chosen.sort(key=lambda entry: (entry["dataset"], len(entry["shard"]), entry["shard"], entry["variant"]))
    lines = [_line(document, output) for document in chosen for output in document["outputs"]]
    head = "".join(f"<th scope='col'>{column}</th>" for column in _COLUMNS)
    return (
        f"<details open><summary>{escape(model)}</summary><div class='wide'><table class='all'>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div></details>"
    )


def _line(document: Document, output: Document) -> str:
    found, tolerance = output["differences"], output["tolerance"]
    absolute, relative = found["largest_absolute"], found["largest_relative"]
    unit = f" {output['unit']}" if output["unit"] else ""
    over, minimum = found["over_tolerance"], output["minimum_absolute"]
    state = "pass" if output["passed"] else "fail"
    names = [document["dataset"], document["shard"], document["variant"], output["item"]]
    figures = [
        f"{document['rows']:,}".replace(",", " "),
        "some" if over is None else str(over),
        str(found["mismatched_nan"] + found["mismatched_infinity"]),
        "0" if absolute is None else f"{absolute['difference']:.2e}{unit}",
        _row(absolute, found["first_mismatch"]),
        f"{found['mean_absolute']:.1e}{unit}",
        "0" if relative is None else f"{relative['difference']:.2e}",
        f"{tolerance['absolute']:g} + {tolerance['relative']:g} × |reference|",
        "never" if minimum is None else f"{minimum:.1e}{unit}",
    ]
    cells = [f"<td>{escape(name)}</td>" for name in names]
    cells.append(f"<td><span class='badge {state}'>{state}</span></td>")
    cells += [f"<td class='number'>{escape(figure)}</td>" for figure in figures]
    return f"<tr class='{state}'>{''.join(cells)}</tr>"


def _row(largest: Document | None, first_mismatch: int | None) -> str:
    places = []
    if largest is not None:
        element = f" {largest['element']}" if largest["element"] else ""
        places.append(f"{largest['row']}{element}")
    if first_mismatch is not None:
        places.append(f"NaN/Inf {first_mismatch}")
    return ", ".join(places) or "–"


_CSS = f"""
:root {{ color-scheme: light dark; --ink: #1f2430; --faint: #6b7280; --line: #e3e6ec; --ground: #fff;
  --raised: #f6f7f9; --pass: {PASS}; --fail: {FAIL}; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6e8ee; --faint: #9aa1ae; --line: #343a46;
  --ground: #16191f; --raised: #1f232b; --fail: #e0442f; }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground);
  margin: 2rem auto; max-width: 84rem; padding: 0 1.5rem; }}
h1 {{ font-size: 1.5rem; margin: 0; }}
.lead {{ font-size: 1.1rem; border-left: 5px solid; padding: .3rem .9rem; margin: 1rem 0 1.5rem; }}
.lead.pass {{ border-color: var(--pass); }} .lead.fail {{ border-color: var(--fail); }}
.note {{ color: var(--faint); max-width: 62rem; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th {{ text-align: left; font-weight: 600; }}
.matrix {{ border-collapse: separate; border-spacing: 4px; margin-bottom: 2rem; }}
.matrix td {{ color: #fff; font-weight: 600; text-align: center; border-radius: 5px; padding: .4rem 1rem; }}
.matrix thead th {{ text-align: center; padding: 0 .5rem; }}
.matrix tbody th {{ padding-right: 1rem; }}
.matrix td.pass, .badge.pass {{ background: var(--pass); }}
.matrix td.fail, .badge.fail {{ background: var(--fail); }}
.matrix td.none {{ color: var(--faint); }}
.badge {{ color: #fff; border-radius: 4px; padding: .05rem .5rem; font-weight: 600; font-size: .85em; }}
details {{ margin: 1rem 0; }}
summary {{ font-weight: 600; font-size: 1.1rem; cursor: pointer; padding: .3rem 0; }}
.wide {{ overflow-x: auto; }}
.all {{ width: 100%; font-size: .9rem; }}
.all th, .all td {{ border-bottom: 1px solid var(--line); padding: .25rem .7rem; white-space: nowrap; }}
.all th {{ color: var(--faint); border-bottom-width: 2px; }}
.all tbody tr:hover {{ background: var(--raised); }}
.all tr.fail td {{ background: color-mix(in srgb, var(--fail) 14%, transparent); }}
.all th:nth-child(n+6), .number {{ text-align: right; }}
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>soaflow: verdicts</title>
<style>{style}</style>
</head>
<body>
<h1>Verdicts</h1>
<p class="lead {state}">{sentence}</p>
<p class="note">Every output of every variant against the reference: the same weights, eager, in float64.
A value passes when |value − reference| ≤ absolute + relative × |reference|; a NaN matches a NaN, an
infinity the same infinity. A cell counts outputs over all datasets and shards. “Would pass at” is the
smallest absolute tolerance that would pass beside the relative one.</p>
{matrix}
{sections}
</body>
</html>
"""
