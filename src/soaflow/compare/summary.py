"""All verdicts of a run in one table, and what failed, is waived or needs a look in sentences.

The invariant: one line for each output of each verdict, in the order of dataset, model, variant and the
model's outputs, whatever the order in which the verdicts were read.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from soaflow.compare.places import Place
from soaflow.compare.verdict import Failure, OutputVerdict, Verdict
from soaflow.errors import StorageError

PASS, WAIVED, FAIL = "pass", "waived", "fail"
"""Outcomes of an output; `WAIVED` is a failure that the configuration accepts for some time."""


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """One output of one verdict.

    Parameters
    ----------
    dataset, model, variant, output
        What was judged; `output` is an item of the prediction collection.
    shards, rows
        Numbers of both.
    verdict
        `pass`, `waived` or `fail`.
    failed
        Names of the questions that failed, with commas between.
    waiver
        Until when the failures are waived, or since when no longer, and why.
    over_tolerance_at_most
        A number that the count of values over the tolerance surely does not exceed; 0 exactly if none is.
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
    shard, row
        Of the largest absolute difference, or of the first mismatch; None if nothing differs.
    tolerance_absolute, tolerance_relative
        That it was judged with.
    minimum_absolute
        The absolute tolerance that would pass beside the relative one; None if none would.
    unit
        Of the output.
    """

    dataset: str
    model: str
    variant: str
    output: str
    shards: int
    rows: int
    verdict: str
    failed: str
    waiver: str
    over_tolerance_at_most: int
    mismatches: int
    max_absolute: float
    mean_absolute: float
    max_relative: float
    mean_relative: float
    rows_bit_identical: int
    max_ulp: int
    yard_ratio: float | None
    shard: str | None
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
        If two verdicts are of the same dataset, model and variant.
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
            cell.ljust(width) if column < 4 or column == 5 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in table
    ]
    drawn.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*drawn, "", closing_sentence([line.verdict for line in lines])]) + "\n"


def closing_sentence(outcomes: Sequence[str]) -> str:
    """Say how many outputs passed, and how many failures are waived.

    >>> closing_sentence([PASS, WAIVED, FAIL])
    '1 of 3 outputs passed, 1 failed with a waiver.'
    """
    waived = outcomes.count(WAIVED)
    return (
        f"{outcomes.count(PASS)} of {len(outcomes)} outputs passed"
        f"{f', {waived} failed with a waiver' if waived else ''}."
    )


def require_outputs(verdicts: Sequence[Verdict]) -> None:
    """Check that there is something judged: no output at all must not count as a pass.

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
                f"the verdict of {_name(verdict)} judges no output: measure the differences again"
            )


def failures(verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    """Return a sentence for each output that fails the run: which, by how much, and what would pass."""
    return _sentences(verdicts, waived=False)


def waived(verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    """Return a sentence for each output with a waived failure, with reason and expiry."""
    return _sentences(verdicts, waived=True)


def idle_waivers(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """Return a sentence for each waiver that waives nothing in any of the verdicts it is for."""
    given = [waiver for verdict in verdicts for waiver in verdict.waivers]
    used = [
        waiver
        for verdict in verdicts
        for failure in verdict.failures
        for waiver in verdict.waivers
        if waiver.covers(failure.item, failure.criterion)
    ]
    return tuple(
        f"the waiver of {waiver.described} waives nothing ({waiver.standing}): remove it"
        for waiver in dict.fromkeys(given)
        if waiver not in used
    )


def outcomes_of(verdicts: Iterable[Verdict]) -> list[str]:
    """Return the outcome of each output of each verdict."""
    return [outcome_of(verdict, output.item) for verdict in verdicts for output in verdict.outputs]


def outcome_of(verdict: Verdict, item: str) -> str:
    """Return whether an output passed, failed, or failed with a waiver for each of its failures."""
    waived = [failure.waived for failure in verdict.failures if failure.item == item]
    return PASS if not waived else WAIVED if all(waived) else FAIL


_TEXT_HEADER = (
    *("dataset", "model", "variant", "output", "rows", "verdict", "over, at most", "NaN/Inf"),
    *("largest difference", "mean", "relative", "would pass at", "bit-identical rows", "ULP", "of eager"),
)


def _key(verdict: Verdict) -> tuple[str, ...]:
    return verdict.dataset, verdict.model, verdict.variant


def _name(verdict: Verdict) -> str:
    return f"dataset {verdict.dataset}, model {verdict.model}, variant {verdict.variant}"


def _line(verdict: Verdict, output: OutputVerdict) -> SummaryLine:
    found = output.differences
    absolute, relative = found.largest_absolute, found.largest_relative
    place = found.first_mismatch if absolute is None else Place(absolute.shard, absolute.row)
    failed = [failure for failure in verdict.failures if failure.item == output.item]
    waivers = dict.fromkeys(failure.waiver for failure in failed if failure.waiver is not None)
    return SummaryLine(
        dataset=verdict.dataset,
        model=verdict.model,
        variant=verdict.variant,
        output=output.item,
        shards=len(verdict.shards),
        rows=verdict.rows,
        verdict=outcome_of(verdict, output.item),
        failed=", ".join(failure.criterion for failure in failed),
        waiver="; ".join(waiver.standing for waiver in waivers),
        over_tolerance_at_most=output.over_tolerance_at_most,
        mismatches=found.mismatches,
        max_absolute=found.max_absolute,
        mean_absolute=found.mean_absolute,
        max_relative=0.0 if relative is None else relative.difference,
        mean_relative=found.mean_relative,
        rows_bit_identical=found.rows_bit_identical,
        max_ulp=found.ulp.largest,
        yard_ratio=output.yard_ratio,
        shard=None if place is None else place.shard,
        row=None if place is None else place.row,
        tolerance_absolute=output.tolerance.absolute,
        tolerance_relative=output.tolerance.relative,
        minimum_absolute=output.minimum_absolute,
        unit=output.unit,
    )


def _cell(value: str | float | None) -> str:
    return "NA" if value is None else str(value)


def _text_cells(line: SummaryLine) -> tuple[str, ...]:
    unit = f" {line.unit}" if line.unit else ""
    return (
        line.dataset,
        line.model,
        line.variant,
        line.output,
        str(line.rows),
        line.verdict.upper() if line.verdict == FAIL else line.verdict,
        str(line.over_tolerance_at_most),
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


def _sentences(verdicts: Iterable[Verdict], *, waived: bool) -> tuple[str, ...]:
    return tuple(
        f"{_name(verdict)}, output {output.item}: {'; '.join(map(_sentence, chosen))}"
        for verdict in sorted(verdicts, key=_key)
        for output in verdict.outputs
        if (chosen := [f for f in verdict.failures if f.item == output.item and f.waived == waived])
    )


def _sentence(failure: Failure) -> str:
    return failure.sentence if failure.waiver is None else f"{failure.sentence} [{failure.waiver.standing}]"
