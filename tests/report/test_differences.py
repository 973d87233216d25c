"""Differences as histograms and by magnitude, from verdicts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soaflow.report.differences import lines_of, plot_differences
from soaflow.report.documents import read_documents
from soaflow.report.magnitudes import Decades, Guide, guides_of, plot_magnitudes

Write = Callable[..., Path]
PLOTS = [plot_differences, plot_magnitudes]
HUGE = 1.7e308

RARE: dict[str, tuple[Any, Any]] = {
    "no rows": ([], []),
    "one row": ([1.5], [1.25]),
    "all identical": ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
    "zeros": ([0.0, 0.0], [0.0, 0.0]),
    "differing at zero": ([0.0, 0.0], [0.0, 1e-7]),
    "only NaN": ([np.nan, np.nan], [np.nan, np.nan]),
    "far away": ([1.0, 2.0, 3.0], [1.0, 2.0, 1e30]),
    "from end to end": ([HUGE, -HUGE, 5e-324, 1e-30], [-HUGE, HUGE, 0.0, 1e30]),
}


def drawn_twice(plot: Callable[..., None], verdicts: list[Path], tmp_path: Path) -> bytes:
    for name in ("one.svg", "two.svg"):
        plot(verdicts, tmp_path / name, model="Net")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    return (tmp_path / "one.svg").read_bytes()


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("name", RARE)
@pytest.mark.filterwarnings("error")
def test_rare_outputs_are_drawn(
    name: str, plot: Callable[..., None], write_verdict_of: Write, tmp_path: Path
) -> None:
    reference, values = RARE[name]
    verdicts = [
        write_verdict_of(values, reference=reference),
        write_verdict_of(reference, reference=reference, variant="aot"),
    ]
    drawn_twice(plot, verdicts, tmp_path)


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("variants", [0, 1, 12])
def test_any_number_of_variants_and_datasets(
    variants: int, plot: Callable[..., None], write_verdict_of: Write, tmp_path: Path
) -> None:
    random = np.random.default_rng(1)
    verdicts = [
        write_verdict_of(1 + random.normal(0, 10.0 ** -(index + 1), 50), variant=f"v{index}", dataset=dataset)
        for index in range(variants)
        for dataset in ("toy", "other")
    ]
    drawn_twice(plot, verdicts, tmp_path)


@pytest.mark.parametrize("plot", PLOTS)
def test_pictures_move_with_the_values(
    plot: Callable[..., None], write_verdict_of: Write, tmp_path: Path
) -> None:
    sizes = (0.0, 1e-6, 1e-3, 1e9)
    pictures = {drawn_twice(plot, [write_verdict_of([1.0 + size, 1.0])], tmp_path) for size in sizes}
    assert len(pictures) == len(sizes)


def test_variants_with_the_same_histograms_share_a_line(write_verdict_of: Write) -> None:
    verdicts = [
        write_verdict_of([1.0, 1.0 + size], variant=variant, dataset=dataset)
        for variant, size in (("eager", 1e-6), ("jit", 1e-3), ("aot", 1e-6))
        for dataset in ("toy", "other")
    ]
    lines = lines_of(read_documents(verdicts), "pt")
    assert [line.variants for line in lines] == [("eager", "aot"), ("jit",)]
    assert [line.label for line in lines] == ["eager, aot\n(50 % exact)", "jit\n(50 % exact)"]
    assert [line.histograms.values for line in lines] == [4, 4]
    for line in lines:
        assert [line.histograms.shares(kind).sum() for kind in ("absolute", "relative", "ulp")] == [
            0.5,
            0.5,
            1,
        ]


def test_histograms_that_differ_in_one_value_do_not_share_a_line(write_verdict_of: Write) -> None:
    verdicts = [
        write_verdict_of([1.0, 1.0, 1.0 + size], variant=variant)
        for variant, size in (("eager", 1e-6), ("jit", 2e-6))
    ]
    assert len(lines_of(read_documents(verdicts), "pt")) == 2


EDGES = np.array([-2.0, -1.0, 0.0])
"""In log10: the bins are 0 (zero), 1 (below), 2, 3 and 4 (above)."""


def test_an_axis_has_a_strip_for_zero_and_bins_for_the_rest() -> None:
    axis = Decades.of([0, 2, 3], EDGES)
    assert axis.edges.tolist() == [-2.75, -2.25, -2.0, -1.0, 0.0]
    assert [axis.place(number) for number in (0, 2, 3)] == [0, 2, 3]
    assert axis.limits[0] < -2.75
    ends = Decades.of([1, 4], EDGES)
    assert ends.edges.tolist() == [-3.75, -3.25, -3.0, -2.0, -1.0, 0.0, 1.0]
    assert [ends.place(number) for number in (1, 4)] == [2, 5]
    assert ends.limits[0] > -3.25
    assert len(Decades.of([0], EDGES).edges) == 4


def test_guides_are_tolerance_and_rounding() -> None:
    tolerance = {"absolute": 1e-5, "relative": 1e-4}
    entries = [{"tolerance": tolerance, "dtype": "float32"}, {"tolerance": tolerance, "dtype": "float32"}]
    guides = guides_of(entries)
    assert [guide.at(np.array([0.0]))[0] for guide in guides] == pytest.approx(
        [np.log10(1.1e-4), np.log10(2.0**-24)]
    )
    none = {"tolerance": {"absolute": 0.0, "relative": 0.0}, "dtype": "int32"}
    assert guides_of([none]) == []
    assert Guide(1.0, 0.0, {}).at(np.array([-300.0, 5.0])).tolist() == [0.0, 0.0]
