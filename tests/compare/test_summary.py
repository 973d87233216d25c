import csv
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from soaflow.compare.differences import differences
from soaflow.compare.judging import judge
from soaflow.compare.measurement import Measurement, OutputMeasurement, Shard, merged
from soaflow.compare.summary import as_text, as_tsv, failures, require_outputs, summarise
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.verdict import Verdict
from soaflow.compare.waivers import Waiver
from soaflow.errors import StorageError

TOLERANCE = Tolerance(1e-5, 1e-4)


def measured(values: list[Any], shard: str, dataset: str, variant: str) -> Measurement:
    found = np.array(values, np.float64)
    figures = differences(np.ones_like(found), found, shard=shard)
    output = OutputMeasurement("pt", "GeV", "float64", figures)
    return Measurement(dataset, "Net", variant, "", (Shard(shard, len(found), ""),), (output,))


def verdict_of(
    *shards: list[Any], dataset: str = "toy", variant: str = "jit", waivers: Sequence[Waiver] = ()
) -> Verdict:
    whole = merged([measured(values, str(i), dataset, variant) for i, values in enumerate(shards)])
    return judge(whole, TOLERANCE, waivers=waivers)


def test_order_does_not_depend_on_reading() -> None:
    verdicts = [verdict_of([1.0], dataset=d, variant=v) for d in "abcde" for v in ("aot", "jit")]
    lines = summarise(reversed(verdicts))
    assert [(line.dataset, line.variant) for line in lines] == [(v.dataset, v.variant) for v in verdicts]
    assert as_tsv(lines) == as_tsv(summarise(verdicts))


def test_table_holds_every_figure() -> None:
    lines = summarise([verdict_of([1.0], [1.0, 1.5, np.nan]), verdict_of([], variant="aot")])
    table = list(csv.DictReader(as_tsv(lines).splitlines(), delimiter="\t"))
    empty, failed = table
    assert (empty["verdict"], empty["rows"], empty["row"], empty["max_absolute"]) == (
        "pass",
        "0",
        "NA",
        "0.0",
    )
    assert (failed["verdict"], failed["failed"]) == ("fail", "tolerance, not finite")
    assert (failed["over_tolerance_at_most"], failed["mismatches"]) == ("1", "1")
    assert (failed["shards"], failed["rows"], failed["shard"], failed["row"]) == ("2", "4", "1", "1")
    assert (failed["max_absolute"], failed["minimum_absolute"]) == ("0.5", "NA")
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
    tolerance = (
        "tolerance: 1.9999 GeV where 1e-05 is allowed (beside 0.0001 times the reference; at most 1 of 3 "
        "values are over; the largest difference is 2 GeV at shard 0, row 2 (3, reference 1); or "
        "1.99999 times the reference would pass); 1.9999 would pass"
    )
    not_finite = (
        "not finite: 1 values where 0 is allowed (0 NaN and 1 infinities on one side only, the first at "
        "shard 0, row 1); nothing would pass"
    )
    assert sentence == f"dataset toy, model Net, variant jit, output pt: {tolerance}; {not_finite}"


def test_nothing_judged_is_no_pass() -> None:
    require_outputs([verdict_of([1.0]), verdict_of([2.0])])
    with pytest.raises(StorageError, match="there is no verdict, so nothing has passed"):
        require_outputs([])
    empty = Verdict("toy", "Net", "jit", "", (Shard("0", 3, ""),), ())
    assert not empty.passed
    with pytest.raises(StorageError, match="dataset toy, model Net, variant jit judges no output"):
        require_outputs([verdict_of([1.0]), empty])


def test_the_same_verdict_twice_is_refused() -> None:
    with pytest.raises(StorageError, match="two verdicts are of dataset toy, model Net, variant jit"):
        summarise([verdict_of([1.0]), verdict_of([2.0])])
