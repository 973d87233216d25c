"""What is merged of shards, as the bytes of its file: the same for any cut, order and grouping.

`test_figures.py` asks this of the figures, `test_decisions.py` of decisions; here it is asked of what is
judged and written.
"""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from soaflow.compare import exact
from soaflow.compare.differences import differences
from soaflow.compare.exact import ExactSum
from soaflow.compare.judging import judge
from soaflow.compare.measurement import Measurement, OutputMeasurement, Shard, merged
from soaflow.compare.measuring_pairs import measure_pairs
from soaflow.compare.tolerances import Tolerance
from soaflow.records import to_json
from soaflow.soa.layout import Item, Layout

Array = np.ndarray[Any, Any]
PT = Layout.of(Item("pt", "float32"))
TOLERANCE = Tolerance(1e-3, 1e-3)


def measured(name: str, reference: Array, value: Array) -> Measurement:
    figures = differences(reference, value, shard=name)
    output = OutputMeasurement("pt", "GeV", "float32", figures)
    return Measurement("toy", "Net", "aot", "w", (Shard(name, len(value), f"e{name}"),), (output,))


def shards_of(reference: Array, value: Array, cuts: Sequence[int]) -> list[Measurement]:
    edges = itertools.pairwise([0, *sorted(cuts), len(value)])
    return [
        measured(str(name), reference[begin:end], value[begin:end]) for name, (begin, end) in enumerate(edges)
    ]


def written(parts: Sequence[Measurement]) -> bytes:
    """The measurement of all shards and the verdict on it, as their files hold them."""
    whole = merged(parts)
    return json.dumps([to_json(whole), to_json(judge(whole, TOLERANCE))], sort_keys=True).encode()


@st.composite
def cut_rows(draw: st.DrawFn) -> tuple[Array, Array, list[int]]:
    """Rows of a reference and of values near and far from it, and where they are cut into shards."""
    rows = draw(st.integers(1, 24))
    numbers = st.floats(-1e3, 1e3, width=32) | st.sampled_from([0.0, -0.0, 1e30, np.inf, np.nan])
    reference = draw(hnp.arrays(np.float64, rows, elements=numbers))
    moved = draw(hnp.arrays(np.float64, rows, elements=st.floats(-1e-2, 1e-2)))
    value = (reference + np.where(draw(hnp.arrays(np.bool_, rows)), moved, 0.0)).astype(np.float32)
    return reference, value, draw(st.lists(st.integers(0, rows), max_size=4))


@settings(deadline=None, max_examples=60)
@given(cut_rows(), st.randoms(use_true_random=False))
def test_the_order_and_grouping_of_shards_change_no_byte(rows: Any, random: Any) -> None:
    reference, value, cuts = rows
    parts = shards_of(reference, value, cuts)
    expected = written(parts)
    shuffled = random.sample(parts, len(parts))
    assert written(shuffled) == expected
    some = random.randrange(1, len(parts) + 1)
    groups = [merged(shuffled[:some]), *([merged(shuffled[some:])] if some < len(parts) else [])]
    assert written(groups[::-1]) == expected


PLACES = {"largest_absolute", "largest_relative", "first_mismatch", "worst", "shards"}


def without_places(entry: Any) -> Any:
    if isinstance(entry, dict):
        return {key: without_places(value) for key, value in entry.items() if key not in PLACES}
    return [without_places(value) for value in entry] if isinstance(entry, list) else entry


@settings(deadline=None, max_examples=60)
@given(cut_rows())
def test_how_rows_are_cut_into_shards_changes_no_figure(rows: Any) -> None:
    """All but the names of places, which are those of the shards."""
    reference, value, cuts = rows
    parts = shards_of(reference, value, cuts)
    one = to_json(measured("0", reference, value))
    assert without_places(to_json(merged(parts))) == without_places(one)


def test_sums_that_round_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: float64 sums, whose value depends on how the shards are grouped."""
    values = [np.array([number]) for number in (1e16, 2.0, 2.0, 2.0)]
    parts = [measured(str(i), value * 0 + 1, value) for i, value in enumerate(values)]

    def groupings() -> set[bytes]:
        return {written(parts), written([parts[0], merged(parts[1:])])}

    assert len(groupings()) == 1

    def rounding(self: ExactSum, other: ExactSum) -> ExactSum:
        numerator, denominator = (float(self) + float(other)).as_integer_ratio()
        return ExactSum._of(numerator, 1 - denominator.bit_length())

    monkeypatch.setattr(exact.ExactSum, "__add__", rounding)
    assert len(groupings()) == 2


def test_pairs_have_the_same_bytes_for_any_order_of_files(write_predictions: Any, tmp_path: Path) -> None:
    files = []
    for shard in ("2", "10"):
        values = np.random.default_rng(int(shard)).normal(size=50)
        for variant in ("eager", "aot"):
            said = {"dataset": "toy", "model": "Net", "shard": shard, "variant": variant}
            moved = values + (variant == "aot") * 1e-6
            files.append(write_predictions(f"{shard}-{variant}", {"pt": moved}, layout=PT, **said))
    found = set()
    for order in (files, files[::-1], files[1:] + files[:1]):
        measure_pairs(order, ("eager", "aot"), tmp_path / "pairs.json")
        found.add((tmp_path / "pairs.json").read_bytes())
    assert len(found) == 1
