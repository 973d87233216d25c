"""All verdicts of a run in one table, and the failing rows named.

The invariant: one line for each output of each verdict, in the order of dataset, shard, model,
variant and the model's outputs, whatever the order in which the verdicts were read.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from soaflow.compare.places import Largest, place_order
from soaflow.compare.verdict import OutputVerdict, Verdict
from soaflow.errors import StorageError


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """One output of one verdict.

    Parameters
    ----------
    dataset, shard, model, variant, output
        What was judged; `output` is an item of the prediction collection.
    rows
        Of the predictions.
    passed
        The outcome.
    over_tolerance
        Number of values with a finite difference over the tolerance; None if it is not known.
    mismatches
        Number of values where only one of the two is a NaN or that infinity.
    max_absolute, mean_absolute
        In `unit`.
    max_relative, mean_relative
        Without unit.
    rows_bit_identical
        Rows with the bits of the reference rounded to the output's dtype.
    max_ulp
        The largest distance in units in the last place of the output's dtype.
    yard_ratio
        The largest absolute difference over that of eager float32; None if that is not known or 0.
    row
        Of the largest absolute difference, or of the first mismatch; None if nothing differs.
    tolerance_absolute, tolerance_relative
        That it was judged with.
    minimum_absolute
        The absolute tolerance that would pass beside the relative one; None if none would.
    unit
        Of the output.
    """

    dataset: str
    shard: str
    model: str
    variant: str
    output: str
    rows: int
    passed: bool
    over_tolerance: int | None
    mismatches: int
    max_absolute: float
    mean_absolute: float
    max_relative: float
    mean_relative: float
    rows_bit_identical: int
    max_ulp: int
    yard_ratio: float | None
    row: int | None
    tolerance_absolute: float
    tolerance_relative: float
    minimum_absolute: float | None
    unit: str


def summarise(verdicts: Iterable[Verdict]) -> tuple[SummaryLine, ...]:
    """Return the lines of all verdicts in order.

    Raises
    ------
    StorageError
        If two verdicts are of the same dataset, shard, model and variant.
    """
    ordered = sorted(verdicts, key=_key)
    keys = [_key(verdict) for verdict in ordered]
    for key, verdict in zip(keys[1:], ordered[:-1], strict=True):
        if key == _key(verdict):
            raise StorageError(f"two verdicts are of {_name(verdict)}: give each verdict once")
    return tuple(_line(verdict, output) for verdict in ordered for output in verdict.outputs)


def as_tsv(lines: Sequence[SummaryLine]) -> str:
    """Return the table as tab-separated values with a header; numbers in full, None as `NA`."""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
    names = SummaryLine.__slots__
    writer.writerow(names)
    for line in lines:
        writer.writerow([_cell(getattr(line, name)) for name in names])
    return stream.getvalue()


def as_text(lines: Sequence[SummaryLine]) -> str:
    """Return the table for a terminal: what people look at first, and a closing sentence."""
    table = [_TEXT_HEADER, *(_text_cells(line) for line in lines)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    drawn = [
        "  ".join(
            cell.ljust(width) if column < 5 or column == 6 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in table
    ]
    drawn.insert(1, "  ".join("-" * width for width in widths))
    failed = sum(not line.passed for line in lines)
    return "\n".join([*drawn, "", f"{len(lines) - failed} of {len(lines)} outputs passed."]) + "\n"


def require_outputs(verdicts: Sequence[Verdict]) -> int:
    """Return the number of outputs that verdicts judge: no output at all must not count as a pass.

    Raises
    ------
    StorageError
        If there is no verdict, or one of them judges no output.
    """
    if not verdicts:
        raise StorageError(
            "there is no verdict, so nothing has passed: give at least one model, dataset and variant"
        )
    for verdict in verdicts:
        if not verdict.outputs:
            raise StorageError(
                f"the verdict of {_name(verdict)} judges no output: compare the predictions again"
            )
    return sum(len(verdict.outputs) for verdict in verdicts)


def failures(verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    """Return a sentence for each output that failed: which, how many values, where and by how much."""
    return tuple(
        _failure(verdict, output)
        for verdict in sorted(verdicts, key=_key)
        for output in verdict.outputs
        if not output.passed
    )


_TEXT_HEADER = (
    *("dataset", "shard", "model", "variant", "output", "rows", "verdict", "over", "NaN/Inf"),
    *("largest difference", "mean", "relative", "would pass at", "bit-identical rows", "ULP", "of eager"),
)


def _key(verdict: Verdict) -> tuple[Any, ...]:
    return verdict.dataset, place_order(verdict.shard, 0), verdict.model, verdict.variant


def _name(verdict: Verdict) -> str:
    return (
        f"dataset {verdict.dataset}, shard {verdict.shard}, model {verdict.model}, variant {verdict.variant}"
    )


def _line(verdict: Verdict, output: OutputVerdict) -> SummaryLine:
    found = output.differences
    absolute, relative = found.largest_absolute, found.largest_relative
    row_of_mismatch = None if found.first_mismatch is None else found.first_mismatch.row
    return SummaryLine(
        dataset=verdict.dataset,
        shard=verdict.shard,
        model=verdict.model,
        variant=verdict.variant,
        output=output.item,
        rows=verdict.rows,
        passed=output.passed,
        over_tolerance=found.over_tolerance,
        mismatches=found.mismatches,
        max_absolute=0.0 if absolute is None else absolute.difference,
        mean_absolute=found.mean_absolute,
        max_relative=0.0 if relative is None else relative.difference,
        mean_relative=found.mean_relative,
        rows_bit_identical=found.rows_bit_identical,
        max_ulp=found.ulp.largest,
        yard_ratio=output.yard_ratio,
        row=absolute.row if absolute is not None else row_of_mismatch,
        tolerance_absolute=output.tolerance.absolute,
        tolerance_relative=output.tolerance.relative,
        minimum_absolute=output.minimum_absolute,
        unit=output.unit,
    )


def _cell(value: str | float | bool | None) -> str:
    if value is None:
        return "NA"
    if isinstance(value, bool):
        return "pass" if value else "fail"
    return str(value)


def _text_cells(line: SummaryLine) -> tuple[str, ...]:
    unit = f" {line.unit}" if line.unit else ""
    return (
        line.dataset,
        line.shard,
        line.model,
        line.variant,
        line.output,
        str(line.rows),
        "pass" if line.passed else "FAIL",
        "?" if line.over_tolerance is None else str(line.over_tolerance),
        str(line.mismatches),
        f"{_scientific(line.max_absolute, 2)}{unit}",
        _scientific(line.mean_absolute, 1),
        _scientific(line.max_relative, 2),
        "never" if line.minimum_absolute is None else f"{_scientific(line.minimum_absolute, 1)}{unit}",
        str(line.rows_bit_identical),
        str(line.max_ulp),
        "-" if line.yard_ratio is None else f"{line.yard_ratio:.3g}",
    )


def _scientific(value: float, decimals: int) -> str:
    return f"{value:.{decimals}e}" if value else "0"


def _failure(verdict: Verdict, output: OutputVerdict) -> str:
    found, reasons = output.differences, []
    if not output.within_tolerance:
        count = "some" if found.over_tolerance is None else found.over_tolerance
        place = _place(found.largest_absolute, output.unit)
        needed = output.minimum_absolute
        remedy = "" if needed is None else f", an absolute tolerance of {needed:.3g} would pass"
        reasons.append(f"{count} of {found.values} values are over the tolerance{place}{remedy}")
    if output.yard_failure is not None:
        factor = output.minimum_factor
        remedy = "no factor would pass" if factor is None else f"a factor of {factor:.3g} would pass"
        reasons.append(f"{output.yard_failure}, {remedy}")
    if found.first_mismatch is not None:
        reasons.append(
            f"{found.mismatched_nan} NaN and {found.mismatched_infinity} infinities are mismatched, "
            f"the first at row {found.first_mismatch.row}"
        )
    return f"{_name(verdict)}, output {output.item}: {'; '.join(reasons)}"


def _place(largest: Largest | None, unit: str) -> str:
    if largest is None:
        return ""
    unit = f" {unit}" if unit else ""
    element = f", element {list(largest.element)}" if largest.element else ""
    return (
        f", the largest by {largest.difference:.6g}{unit} at row {largest.row}{element} "
        f"({largest.value:.9g}, reference {largest.reference:.9g})"
    )
