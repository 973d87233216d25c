import csv
from typing import Any

import numpy as np
import pytest

from soaflow.compare.differences import differences
from soaflow.compare.summary import as_text, as_tsv, failures, require_outputs, summarise
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.verdict import OutputVerdict, Verdict
from soaflow.errors import StorageError

TOLERANCE = Tolerance(1e-5, 1e-4)


def verdict_of(values: list[Any], *, shard: str = "0", variant: str = "jit") -> Verdict:
    found = np.array(values, np.float64)
    output = OutputVerdict("pt", "GeV", TOLERANCE, differences(np.ones_like(found), found, TOLERANCE))
    return Verdict("toy", shard, "Net", variant, len(found), (output,))


def test_order_does_not_depend_on_reading() -> None:
    verdicts = [verdict_of([1.0], shard=str(n), variant=v) for n in range(12) for v in ("aot", "jit")]
    lines = summarise(reversed(verdicts))
    assert [(line.shard, line.variant) for line in lines] == [(v.shard, v.variant) for v in verdicts]
    assert as_tsv(lines) == as_tsv(summarise(verdicts))


def test_table_holds_every_figure() -> None:
    lines = summarise([verdict_of([1.0, 1.5, np.nan]), verdict_of([], variant="aot")])
    table = list(csv.DictReader(as_tsv(lines).splitlines(), delimiter="\t"))
    empty, failed = table
    assert (empty["passed"], empty["rows"], empty["row"], empty["max_absolute"]) == ("pass", "0", "NA", "0.0")
    assert (failed["passed"], failed["over_tolerance"], failed["mismatches"]) == ("fail", "1", "1")
    assert (failed["row"], failed["max_absolute"], failed["minimum_absolute"]) == ("1", "0.5", "NA")
    assert failed["unit"] == "GeV"


def test_text_is_aligned_and_counts() -> None:
    text = as_text(summarise([verdict_of([1.0, 2.0]), verdict_of([1.0], variant="aot_b64")]))
    header, rule, *_ = text.splitlines()
    assert rule.index("-", header.index("verdict") - 1) == header.index("verdict")
    assert "FAIL" in text
    assert "1.00e+00 GeV" in text
    assert "0.0e+00" not in text
    assert text.endswith("1 of 2 outputs passed.\n")
    assert as_text(()).endswith("0 of 0 outputs passed.\n")


def test_failures_name_the_rows() -> None:
    verdicts = [verdict_of([1.0, np.inf, 3.0]), verdict_of([1.0], variant="aot")]
    (sentence,) = failures(verdicts)
    assert sentence == (
        "dataset toy, shard 0, model Net, variant jit, output pt: 1 of 3 values are over the tolerance, "
        "the largest by 2 GeV at row 2 (3, reference 1); 0 NaN and 1 infinities are mismatched, "
        "the first at row 1"
    )


def test_nothing_judged_is_no_pass() -> None:
    assert require_outputs([verdict_of([1.0]), verdict_of([2.0])]) == 2
    with pytest.raises(StorageError, match="there is no verdict, so nothing has passed"):
        require_outputs([])
    empty = Verdict("toy", "0", "Net", "jit", 3, ())
    assert not empty.passed
    with pytest.raises(StorageError, match="dataset toy, shard 0, model Net, variant jit judges no output"):
        require_outputs([verdict_of([1.0]), empty])


def test_the_same_verdict_twice_is_refused() -> None:
    with pytest.raises(
        StorageError, match="two verdicts are of dataset toy, shard 0, model Net, variant jit"
    ):
        summarise([verdict_of([1.0]), verdict_of([2.0])])
