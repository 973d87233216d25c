"""All verdicts on one page.

The page is one HTML file that loads nothing: no scripts, fonts or pictures from elsewhere. First
stands what failed, by how much and where; then the matrix of models and variants; then every
output of every verdict. The page fits a frame of 1100 pixels, such as that of Snakemake's report.
"""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from soaflow.files import write_text
from soaflow.report.documents import described_by, read_documents
from soaflow.report.style import FAIL, PASS, WAIVED, counted, with_unit
from soaflow.report.verdict_matrix import Cell, matrix_of, outcome, state_of, variants_of

Document = Mapping[str, Any]

_FAILURES_SHOWN = 10
"""In the table of what failed; the tables of the models hold all."""


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


def _page(documents: Sequence[Document]) -> str:
    matrix = matrix_of(documents)
    cells = [cell for by_variant in matrix.values() for cell in by_variant.values()]
    failed, waived = sum(cell.failed for cell in cells), sum(cell.waived for cell in cells)
    total = sum(cell.total for cell in cells)
    sentence = (
        f"{failed} of {counted(total, 'output')} failed."
        if failed
        else f"Every output passed ({counted(total, 'output')})."
        if not waived
        else f"{waived} of {counted(total, 'output')} failed with a waiver; the others passed."
    )
    sections = [_section(model, documents) for model in matrix]
    return _PAGE.format(
        style=_CSS,
        state="fail" if failed else "waived" if waived else "pass",
        sentence=sentence,
        matrix=_matrix_table(matrix),
        failures=_failures(documents) + _waivers(documents),
        sections="\n".join(sections),
    )


def _matrix_table(matrix: Mapping[str, Mapping[str, Cell]]) -> str:
    variants = variants_of(matrix)
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
    return f"<td class='{cell.state}'>{outcome(cell)}</td>"


_FAILURE_COLUMNS = (
    *("model", "variant", "events", "output", "criterion"),
    *("measured", "allowed", "how, where, and what would pass"),
)


def _failures(documents: Sequence[Document]) -> str:
    """Return the table of what failed, by how much and where; nothing if all passed."""
    failed = [
        (document, output)
        for document in documents
        for output in document["outputs"]
        if state_of(document, output["item"]) != "pass"
    ]
    failed.sort(key=lambda pair: (pair[0]["model"], *_order(pair[0])))
    lines = [
        line for document, output in failed[:_FAILURES_SHOWN] for line in _failure_lines(document, output)
    ]
    if not lines:
        return ""
    left_out = len(failed) - _FAILURES_SHOWN
    note = f"<p class='note'>{counted(left_out, 'more failure')} below.</p>" if left_out > 0 else ""
    return f"<h2>What failed</h2>{_table('failures', _FAILURE_COLUMNS, lines)}{note}"


def _failure_lines(document: Document, output: Document) -> list[str]:
    """Return a line for each question that an output fails."""
    failures = {f["criterion"]: f for f in document["failures"] if f["item"] == output["item"]}
    lines = []
    for criterion in output["criteria"]:
        if criterion["passed"]:
            continue
        waiver, waived = failures[criterion["name"]]["waiver"], failures[criterion["name"]]["waived"]
        names = [document["model"], *_names(document, output), criterion["name"]]
        figures = [_figure(criterion[key]) for key in ("measured", "allowed")]
        told = [criterion["detail"], criterion["remedy"], *([] if waiver is None else [waiver["standing"]])]
        lines.append(_cells(names, figures, words="; ".join(told), state="waived" if waived else "fail"))
    return lines


_WAIVER_COLUMNS = ("model", "variant", "events", "output", "criterion", "state", "reason and expiry")


def _waivers(documents: Sequence[Document]) -> str:
    """Return the table of all waivers, with whether each waives something; nothing if there are none."""
    waivers = {json.dumps(w, sort_keys=True): w for document in documents for w in document["waivers"]}
    used = [f["waiver"] for document in documents for f in document["failures"]]
    lines = []
    for _, waiver in sorted(waivers.items()):
        state = "expired" if waiver["expired"] else "holds" if waiver in used else "waives nothing"
        names = [waiver["model"], waiver["variant"], waiver["dataset"] or "all"]
        names += [", ".join(waiver["items"]) or "all", waiver["criterion"] or "all", state]
        lines.append(_cells(names, [], words=waiver["standing"], state="waiver"))
    return f"<h2>Waivers</h2>{_table('failures', _WAIVER_COLUMNS, lines)}" if lines else ""


def _figure(value: float | None) -> str:
    return "–" if value is None else _number(value, 3)


_COLUMNS = (
    *("variant", "events", "output", "verdict", "rows", "over, at most", "NaN/Inf"),
    *("largest", "at", "mean", "relative", "tolerance", "would pass at"),
    *("identical rows", "ULP", "of eager"),
)


def _section(model: str, documents: Sequence[Document]) -> str:
    chosen = sorted((document for document in documents if document["model"] == model), key=_order)
    lines = [_line(document, output) for document in chosen for output in document["outputs"]]
    return f"<details open><summary>{escape(model)}</summary>{_table('all', _COLUMNS, lines)}</details>"


def _line(document: Document, output: Document) -> str:
    found, tolerance = output["differences"], output["tolerance"]
    absolute, relative = found["largest_absolute"], found["largest_relative"]
    minimum, state = output["minimum_absolute"], state_of(document, output["item"])
    figures = [
        _counted_values(document["rows"]),
        _counted_values(output["over_tolerance_at_most"]),
        _counted_values(found["mismatched_nan"] + found["mismatched_infinity"]),
        "0" if absolute is None else _number(absolute["difference"], 3),
        _row(absolute, found["first_mismatch"]),
        _number(found["mean_absolute"]),
        "0" if relative is None else _number(relative["difference"], 3),
        f"{_number(tolerance['absolute'])} + {_number(tolerance['relative'])} |ref|",
        "never" if minimum is None else _number(minimum),
        _share(found["rows_bit_identical"], document["rows"]),
        _ulp(found["ulp"]["largest"]),
        _ratio(output),
    ]
    badge = f"<td><span class='badge {state}'>{state}</span></td>"
    return _cells(_names(document, output), figures, badge=badge, state=state)


def _order(document: Document) -> tuple[Any, ...]:
    return document["dataset"], document["variant"]


def _names(document: Document, output: Document) -> list[str]:
    return [document["variant"], document["dataset"], with_unit(output["item"], output["unit"])]


def _table(kind: str, columns: Sequence[str], lines: Sequence[str]) -> str:
    head = "".join(f"<th scope='col'>{column}</th>" for column in columns)
    return (
        f"<div class='wide'><table class='{kind}'><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cells(
    names: Sequence[str], figures: Sequence[str], *, badge: str = "", words: str = "", state: str
) -> str:
    cells = [f"<td>{escape(name)}</td>" for name in names]
    cells += [badge] if badge else []
    cells += [f"<td class='number'>{escape(figure)}</td>" for figure in figures]
    cells += [f"<td class='words'>{escape(words)}</td>"] if words else []
    return f"<tr class='{state}'>{''.join(cells)}</tr>"


def _share(count: int, rows: int) -> str:
    """Return a share in percent, 100 % and 0 % only where it is all or none.

    >>> _share(0, 3), _share(1, 3), _share(3, 3), _share(9999, 10000), _share(0, 0)
    ('0 %', '33 %', '100 %', '> 99 %', '–')
    """
    if not rows:
        return "–"
    percent = 100 * count / rows
    if 0 < percent < 1 or 99 < percent < 100:
        return "< 1 %" if percent < 1 else "> 99 %"
    return f"{percent:.0f} %"


def _ulp(steps: int) -> str:
    return _counted_values(steps) if steps < 10**5 else _number(steps)


def _ratio(output: Document) -> str:
    return "–" if output["yard_ratio"] is None else _number(output["yard_ratio"])


def _row(largest: Document | None, first_mismatch: Document | None) -> str:
    places = [] if largest is None else [_place(largest)]
    if first_mismatch is not None:
        places.append(f"NaN/Inf {_place(first_mismatch)}")
    return ", ".join(places) or "–"


def _place(place: Document) -> str:
    """Return shard and row, and the element of an eigen item."""
    element = f" {place['element']}" if place.get("element") else ""
    return f"{place['shard']}:{place['row']}{element}"


def _counted_values(count: int) -> str:
    return f"{count:,}".replace(",", "\u202f")


def _number(value: float, digits: int = 2) -> str:
    """Return a number as briefly as it can be read.

    >>> _number(0.0), _number(1e-5), _number(1.19e-7, 3), _number(0.0254), _number(314.15)
    ('0', '1e-5', '1.19e-7', '0.025', '310')
    """
    rounded = float(f"{value:.{digits}g}")
    if rounded == 0 or 1e-3 <= abs(rounded) < 1e4:
        return f"{rounded:g}"
    mantissa, _, exponent = f"{rounded:.{digits - 1}e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"


_CSS = f"""
:root {{ color-scheme: light dark; --ink: #1f2430; --faint: #6b7280; --line: #e3e6ec; --ground: #fff;
  --raised: #f6f7f9; --pass: {PASS}; --waived: {WAIVED}; --fail: {FAIL}; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6e8ee; --faint: #9aa1ae; --line: #343a46;
  --ground: #16191f; --raised: #1f232b; --fail: #e0442f; }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground);
  margin: 2rem auto; max-width: 84rem; padding: 0 1.5rem; }}
h1 {{ font-size: 1.5rem; margin: 0; }}
h2 {{ font-size: 1.1rem; margin: 0; }}
.lead {{ font-size: 1.1rem; border-left: 5px solid; padding: .3rem .9rem; margin: 1rem 0 1.5rem; }}
.lead.pass {{ border-color: var(--pass); }} .lead.waived {{ border-color: var(--waived); }}
.lead.fail {{ border-color: var(--fail); }}
.note {{ color: var(--faint); font-size: .9rem; max-width: 70rem; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th {{ text-align: left; font-weight: 600; }}
.matrix {{ border-collapse: separate; border-spacing: 4px; margin-bottom: 2rem; }}
.matrix td {{ color: #fff; font-weight: 600; text-align: center; border-radius: 5px; padding: .4rem 1rem; }}
.matrix thead th {{ text-align: center; padding: 0 .5rem; }}
.matrix tbody th {{ padding-right: 1rem; }}
.matrix td.pass, .badge.pass {{ background: var(--pass); }}
.matrix td.waived, .badge.waived {{ background: var(--waived); }}
.matrix td.fail, .badge.fail {{ background: var(--fail); }}
.matrix td.none {{ color: var(--faint); }}
.badge {{ color: #fff; border-radius: 4px; padding: .05rem .5rem; font-weight: 600; font-size: .85em; }}
details {{ margin: 1rem 0; }}
summary {{ font-weight: 600; font-size: 1.1rem; cursor: pointer; padding: .3rem 0; }}
.wide {{ overflow-x: auto; }}
.all, .failures {{ width: 100%; font-size: .8rem; }}
.all thead th {{ white-space: normal; line-height: 1.25; }}
.failures {{ margin-bottom: 1rem; }}
.failures td:nth-child(5) {{ font-weight: 700; }}
.failures tr.fail td:nth-child(6), .all tr.fail td:nth-child(8) {{ color: var(--fail); font-weight: 700; }}
:is(.all, .failures) :is(th, td) {{ border-bottom: 1px solid var(--line); padding: .25rem .28rem;
  white-space: nowrap; }}
.all th, .failures th {{ color: var(--faint); border-bottom-width: 2px; vertical-align: bottom; }}
.all tbody tr:hover {{ background: var(--raised); }}
.failures .words {{ white-space: normal; min-width: 22rem; }}
.all tr.fail td {{ background: color-mix(in srgb, var(--fail) 14%, transparent); }}
.all th:nth-child(n+5), .failures th:nth-child(n+6):not(:last-child), .number {{ text-align: right; }}
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
{failures}
<p class="note">Every output of every variant against the reference: the same weights, eager, computed and
stored in float64, over all shards of a dataset. A value is within its tolerance when |value − ref| ≤
absolute + relative × |ref|; a NaN matches a NaN, an infinity the same infinity. A cell counts outputs over
all datasets. A <b>waived</b> output failed, and the configuration accepts that until a day. “Over, at most”
bounds the number of values over the tolerance, “NaN/Inf” counts those that are one on one side only;
“largest” and “mean” are of |value − ref| in the output’s unit, “at” names shard and row, “relative” is the
largest |value − ref| / |ref|, and “would pass at” the smallest absolute tolerance that would pass beside
the relative one. “Identical rows” have the bits of the reference rounded to the output’s type, “ULP” is the
largest distance from it in steps to the next number, and “of eager” the largest difference over that of
eager float32, which the second yardstick limits.</p>
{matrix}
{sections}
</body>
</html>
"""
