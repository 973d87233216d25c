"""All verdicts on one page.

The page is one HTML file that loads nothing: no scripts, fonts or pictures from elsewhere. First
stands what failed, at which row and by how much; then the matrix of models and variants; then every
output of every verdict. The page fits a frame of 1100 pixels, such as that of Snakemake's report.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from soaflow.files import write_text
from soaflow.report.documents import described_by, read_documents
from soaflow.report.style import FAIL, PASS, counted, with_unit
from soaflow.report.verdict_matrix import Cell, matrix_of, outcome, variants_of

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
        failures=_failures(documents),
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
    return f"<td class='{'fail' if cell.failed else 'pass'}'>{outcome(cell)}</td>"


_FAILURE_COLUMNS = (
    *("model", "variant", "events", "output"),
    *("values", "row", "reference", "value", "difference", "allowed"),
)


def _failures(documents: Sequence[Document]) -> str:
    """Return the table of what failed, where and by how much; nothing if all passed."""
    failed = [
        (document, output) for document in documents for output in document["outputs"] if not output["passed"]
    ]
    failed.sort(key=lambda pair: (pair[0]["model"], *_order(pair[0])))
    lines = [
        _cells([document["model"], *_names(document, output)], line)
        for document, output in failed[:_FAILURES_SHOWN]
        for line in _failure_lines(output)
    ]
    if not lines:
        return ""
    left_out = len(failed) - _FAILURES_SHOWN
    note = f"<p class='note'>{counted(left_out, 'more failure')} below.</p>" if left_out > 0 else ""
    return f"<h2>What failed</h2>{_table('failures', _FAILURE_COLUMNS, lines)}{note}"


def _failure_lines(output: Document) -> list[list[str]]:
    """Return the figures of a failed output: a line for each criterion that fails."""
    found = output["differences"]
    lines = []
    if found["over_tolerance"] != 0:
        count = "some" if found["over_tolerance"] is None else _counted_values(found["over_tolerance"])
        lines.append([f"{count} of {_counted_values(found['values'])}", *_worst(found, output["tolerance"])])
    if output["yard_failure"] is not None:
        lines.append(_yard_line(output))
    if found["first_mismatch"] is not None:
        count = found["mismatched_nan"] + found["mismatched_infinity"]
        what = f"{_counted_values(count)} NaN/Inf"
        lines.append([what, f"{found['first_mismatch']['row']}", "–", "–", "–", "none"])
    return lines


def _yard_line(output: Document) -> list[str]:
    """Return the figures of an output that is further away than eager float32 allows."""
    found, yard, ratio = output["differences"], output["yard"], _ratio(output)
    largest, stick = found["largest_absolute"], yard["yardstick"]
    allowed = stick["factor"] * yard["largest"] + stick["floor"]
    if largest["difference"] > allowed:
        what = (
            f"{ratio} times the error of {yard['variant']}"
            if ratio != "–"
            else f"more than {yard['variant']}"
        )
        texts = [what, _place(largest), f"{largest['reference']:.6g}", f"{largest['value']:.6g}"]
        return [*texts, _number(largest["difference"], 3), _number(allowed)]
    quantile = found["quantiles_absolute"]["0.99"][0]
    allowed = stick["factor"] * yard["quantile"][1] + stick["floor"]
    what = f"1 % further away than {yard['variant']} allows"
    return [what, "many", "–", "–", f"≥ {_number(quantile, 3)}", _number(allowed)]


def _worst(found: Document, tolerance: Document) -> list[str]:
    """Return row, reference, value, difference and what was allowed, where that was exceeded the most."""

    def allowed(reference: float) -> float:
        return float(tolerance["absolute"] + tolerance["relative"] * abs(reference))

    known = [found[name] for name in ("largest_absolute", "largest_relative") if found[name] is not None]
    kept = [(abs(e["value"] - e["reference"]) - allowed(e["reference"]), e) for e in known]
    excess, place = max(kept, key=lambda pair: pair[0])
    if excess > 0:
        difference, reference = abs(place["value"] - place["reference"]), place["reference"]
        texts = [_place(place), f"{reference:.6g}", f"{place['value']:.6g}"]
    else:
        # Neither of the two kept rows is over the tolerance; of the one that is, only the sizes are kept.
        reference, difference = max(found["envelope"], key=lambda point: point[1] - allowed(point[0]))
        texts = ["not kept", f"±{reference:.6g}", "–"]
    return [*texts, _number(difference, 3), _number(allowed(reference))]


_COLUMNS = (
    *("variant", "events", "output", "verdict", "rows", "over", "NaN/Inf"),
    *("largest", "at row", "mean", "relative", "tolerance", "would pass at"),
    *("identical rows", "ULP", "of eager"),
)


def _section(model: str, documents: Sequence[Document]) -> str:
    chosen = sorted((document for document in documents if document["model"] == model), key=_order)
    lines = [_line(document, output) for document in chosen for output in document["outputs"]]
    return f"<details open><summary>{escape(model)}</summary>{_table('all', _COLUMNS, lines)}</details>"


def _line(document: Document, output: Document) -> str:
    found, tolerance = output["differences"], output["tolerance"]
    absolute, relative = found["largest_absolute"], found["largest_relative"]
    over, minimum = found["over_tolerance"], output["minimum_absolute"]
    state = "pass" if output["passed"] else "fail"
    figures = [
        _counted_values(document["rows"]),
        "some" if over is None else _counted_values(over),
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
    return document["dataset"], len(document["shard"]), document["shard"], document["variant"]


def _names(document: Document, output: Document) -> list[str]:
    events = f"{document['dataset']} / {document['shard']}"
    return [document["variant"], events, with_unit(output["item"], output["unit"])]


def _table(kind: str, columns: Sequence[str], lines: Sequence[str]) -> str:
    head = "".join(f"<th scope='col'>{column}</th>" for column in columns)
    return (
        f"<div class='wide'><table class='{kind}'><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cells(names: Sequence[str], figures: Sequence[str], *, badge: str = "", state: str = "fail") -> str:
    cells = [f"<td>{escape(name)}</td>" for name in names]
    cells += [badge] if badge else []
    cells += [f"<td class='number'>{escape(figure)}</td>" for figure in figures]
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
        places.append(f"NaN/Inf {first_mismatch['row']}")
    return ", ".join(places) or "–"


def _place(largest: Document) -> str:
    return f"{largest['row']} {largest['element']}" if largest["element"] else f"{largest['row']}"


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
  --raised: #f6f7f9; --pass: {PASS}; --fail: {FAIL}; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6e8ee; --faint: #9aa1ae; --line: #343a46;
  --ground: #16191f; --raised: #1f232b; --fail: #e0442f; }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground);
  margin: 2rem auto; max-width: 84rem; padding: 0 1.5rem; }}
h1 {{ font-size: 1.5rem; margin: 0; }}
h2 {{ font-size: 1.1rem; margin: 0; }}
.lead {{ font-size: 1.1rem; border-left: 5px solid; padding: .3rem .9rem; margin: 1rem 0 1.5rem; }}
.lead.pass {{ border-color: var(--pass); }} .lead.fail {{ border-color: var(--fail); }}
.note {{ color: var(--faint); font-size: .9rem; max-width: 70rem; }}
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
.all, .failures {{ width: 100%; font-size: .8rem; }}
.all thead th {{ white-space: normal; line-height: 1.25; }}
.failures {{ margin-bottom: 1rem; }}
.failures td:nth-child(6) {{ font-weight: 700; }}
.failures td:nth-child(9), .all tr.fail td:nth-child(8) {{ color: var(--fail); font-weight: 700; }}
:is(.all, .failures) :is(th, td) {{ border-bottom: 1px solid var(--line); padding: .25rem .28rem;
  white-space: nowrap; }}
.all th, .failures th {{ color: var(--faint); border-bottom-width: 2px; vertical-align: bottom; }}
.all tbody tr:hover {{ background: var(--raised); }}
.all tr.fail td {{ background: color-mix(in srgb, var(--fail) 14%, transparent); }}
.all th:nth-child(n+5), .failures th:nth-child(n+5), .number {{ text-align: right; }}
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
stored in float64. A value passes when |value − ref| ≤ absolute + relative × |ref|; a NaN matches a NaN, an
infinity the same infinity. A cell counts outputs over all datasets and shards. “Over” counts
values over the tolerance, “NaN/Inf” those that are one on one side only; “largest” and “mean” are of
|value − ref| in the output’s unit, “relative” is the largest |value − ref| / |ref|, and “would pass at” the
smallest absolute tolerance that would pass beside the relative one. “Identical rows” have the bits of the
reference rounded to the output’s type, “ULP” is the largest distance from it in steps to the next number, and
“of eager” the largest difference over that of eager float32, which the second yardstick limits.</p>
{matrix}
{sections}
</body>
</html>
"""
