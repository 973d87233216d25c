"""Parity and residuals: counts against slow ones, and pictures of rare outputs."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soaflow.compare.measurement import write_measurement
from soaflow.compare.measuring import measure_files
from soaflow.errors import StorageError
from soaflow.report.pairs import (
    COLUMNS,
    PARITY_ROWS,
    RESIDUAL_ROWS,
    Frame,
    counts_of,
    extent_of,
    read_shards,
)
from soaflow.report.parity import frame_of, plot_parity, reach_of
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.storage import PREDICTIONS, writing

Write = Callable[..., Path]
HUGE = float(np.finfo(np.float64).max)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write predictions of a column, or of a block of two a row."""

    def write(values: Any, variant: str, *, shard: int = 0, **attributes: Any) -> Path:
        array = np.asarray(values, np.float64)
        kind = (ItemKind.EIGEN, array.shape[1:]) if array.ndim > 1 else (ItemKind.COLUMN, ())
        placements = {"predictions": Layout.of(Item("pt", "float64", *kind, unit="GeV")).place(len(array))}
        said = {"dataset": "toy", "shard": shard, "model": "Net", "variant": variant} | attributes
        path = tmp_path / f"{variant}.{shard}.h5"
        with writing(path, PREDICTIONS, placements, said) as writer:
            writer.write("predictions", "pt", array)
        return path

    return write


def plotted(reference: Path, variants: list[Path], tmp_path: Path) -> bytes:
    measurements = []
    for path in variants:
        measurements.append(path.with_suffix(".json"))
        write_measurement(measurements[-1], measure_files(reference, path))
    for name in ("one.svg", "two.svg"):
        plot_parity([reference], variants, measurements, tmp_path / name, model="Net")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    return (tmp_path / "one.svg").read_bytes()


def test_counts_equal_slow_ones_over_shards(write: Write) -> None:
    random = np.random.default_rng(1)
    shards = [random.normal(0, 3, (rows, 2)) for rows in (400, 0, 7)]
    references = [write(values, "reference", shard=i) for i, values in enumerate(shards)]
    noisy = [values + random.normal(0, 0.1, values.shape) for values in shards]
    noisy[0][5, 1] = np.nan
    paths = [write(values, "jit", shard=i) for i, values in enumerate(noisy)]
    found = read_shards(references[::-1], paths)["jit"]
    extent = extent_of(found, "pt")
    expected, values = (np.concatenate(arrays).reshape(-1) for arrays in (shards, noisy))
    finite = np.isfinite(values)
    expected, values = expected[finite], values[finite]
    assert (extent.pairs, extent.not_finite) == (813, 1)
    assert extent.reference == (expected.min(), expected.max())
    assert extent.value == (values.min(), values.max())
    assert extent.largest == np.abs(values - expected).max()
    frame = frame_of(extent, [extent])
    counts = counts_of(found, "pt", frame)
    for counted, heights, ends, rows in (
        (counts.parity, values, frame.value, PARITY_ROWS),
        (counts.residual, values - expected, (-frame.reach, frame.reach), RESIDUAL_ROWS),
    ):
        edges = np.linspace(*ends, rows + 1), np.linspace(*frame.reference, COLUMNS + 1)
        slow, _, _ = np.histogram2d(heights, expected, edges)
        assert counted.sum() == extent.pairs
        # A value on an edge may be on either side of it, as either way to find its cell rounds.
        assert np.abs(counted - slow).sum() <= 2


def test_values_outside_of_the_frame_are_in_the_outermost_cells(write: Write) -> None:
    shards = read_shards([write([0.0, 9.0, 0.5], "reference")], [write([5.0, -HUGE, 0.5], "jit")])["jit"]
    counts = counts_of(shards, "pt", Frame((0.0, 1.0), (0.0, 1.0), 1.0))
    assert counts.parity[-1, 0] == counts.parity[0, -1] == counts.residual[-1, 0] == 1
    assert counts.residual[RESIDUAL_ROWS // 2, COLUMNS // 2] == 1


def test_a_difference_of_zero_is_in_the_middle_row(write: Write) -> None:
    values = np.linspace(-3, 3, 100)
    shards = read_shards([write(values, "reference")], [write(values, "jit")])["jit"]
    extent = extent_of(shards, "pt")
    residual = counts_of(shards, "pt", frame_of(extent, [extent])).residual
    assert residual[RESIDUAL_ROWS // 2].sum() == residual.sum() == 100


@pytest.mark.parametrize("largest", [5e-324, 1e-300, 9.99e-7, 1.0, 2.0000001, 5.1, 4e299])
def test_reach_is_the_next_step(largest: float) -> None:
    reach = reach_of(largest)
    assert largest <= reach <= max(2.5 * largest, 1e-300)


RARE = {
    "no rows": ([], []),
    "one row": ([1.5], [1.25]),
    "all identical": ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
    "one value everywhere": ([2.0, 2.0], [2.0, 2.5]),
    "zeros": ([0.0, 0.0], [0.0, 0.0]),
    "only NaN": ([np.nan, np.nan], [np.nan, np.nan]),
    "a NaN and an infinity": ([1.0, 2.0, np.inf], [np.nan, 2.5, 1.0]),
    "far away": ([1.0, 2.0, 3.0], [1.0, 2.0, 1e30]),
    "the largest numbers": ([-HUGE, HUGE], [HUGE, HUGE]),
    "one largest number": ([HUGE, HUGE], [HUGE, HUGE]),
    "the smallest numbers": ([5e-324, 0.0], [0.0, 5e-324]),
}


@pytest.mark.parametrize("name", RARE)
@pytest.mark.filterwarnings("error")
def test_rare_outputs_are_drawn(name: str, write: Write, tmp_path: Path) -> None:
    reference, values = RARE[name]
    plotted(write(reference, "reference"), [write(values, "jit"), write(reference, "aot")], tmp_path)


@pytest.mark.parametrize("variants", [0, 1, 5])
def test_any_number_of_variants_is_drawn(variants: int, write: Write, tmp_path: Path) -> None:
    reference = np.random.default_rng(2).normal(size=(30, 2))
    paths = [write(reference + 0.1 * number, f"v{number}") for number in range(variants)]
    plotted(write(reference, "reference"), paths, tmp_path)


def test_the_picture_shows_the_values_and_marks_the_worst_row(write: Write, tmp_path: Path) -> None:
    reference = write(np.linspace(0, 1, 500), "reference")
    pictures = set()
    for place in (100, 400):
        values = np.linspace(0, 1, 500)
        values[place] += 0.2
        pictures.add(plotted(reference, [write(values, "jit")], tmp_path))
    assert len(pictures) == 2


def test_predictions_without_their_reference_are_refused(write: Write) -> None:
    reference = write([1.0, 2.0], "reference")
    with pytest.raises(StorageError, match=r"jit\.3\.h5 has no reference for its dataset and shard"):
        read_shards([reference], [write([1.0, 2.0], "jit", shard=3)])
    with pytest.raises(StorageError, match=r"jit\.0\.h5 has 3 rows and .*reference\.0\.h5 has 2"):
        read_shards([reference], [write([1.0, 2.0, 3.0], "jit")])


def test_memory_does_not_grow_with_the_rows(write: Write) -> None:
    """Maps are no memory of the process; what is traced are the arrays of a chunk."""

    def peak(rows: int) -> int:
        values = np.broadcast_to(np.float64(1.5), (rows,))
        shards = read_shards([write(values, "reference")], [write(values, "jit")])["jit"]
        tracemalloc.start()
        try:
            extent = extent_of(shards, "pt")
            counts = counts_of(shards, "pt", frame_of(extent, [extent]))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            assert counts.parity.sum() == rows

    assert peak(4_000_000) < 1.2 * peak(1_000_000)
