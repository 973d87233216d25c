"""Performance, verdict table and pipeline, from the files of other stages."""

import dataclasses
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soaflow.compare.waivers import Waiver
from soaflow.errors import StorageError
from soaflow.files import write_json
from soaflow.report.differences import plot_differences
from soaflow.report.heat_map import plot_heat_map
from soaflow.report.magnitudes import plot_magnitudes
from soaflow.report.performance import measured, plot_performance, threads_of
from soaflow.report.pipeline import STEPS, Step, columns_of, plot_pipeline
from soaflow.report.style import colours
from soaflow.report.verdict_matrix import Cell, matrix_of, outcome
from soaflow.report.verdict_table import write_verdict_table

Write = Callable[..., Path]


def drawn_twice(draw: Callable[[Path], None], tmp_path: Path) -> bytes:
    for name in ("one.svg", "two.svg"):
        draw(tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    return (tmp_path / "one.svg").read_bytes()


def pages_tags(page: str) -> list[tuple[str, dict[str, str | None]]]:
    """Return all tags, and fail if one is not closed."""
    tags: list[tuple[str, dict[str, str | None]]] = []
    stack: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append((tag, dict(attrs)))
            if tag != "meta":
                stack.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert stack.pop() == tag

    Parser().feed(page)
    assert not stack
    return tags


def test_performance_figures(write_proof: Write, tmp_path: Path) -> None:
    proofs = [
        write_proof(),
        write_proof(peak_resident_bytes=500 << 20, batch_seconds=[0.25, 0.25, 9.0]),
        write_proof(variant="aot", batch_size=0, batches=1, batch_seconds=[0.5], threads_seen=2),
        write_proof(variant="many", batch_seconds=[]),
        *(write_proof(variant="gpu", device="cuda", rows_per_second=rate) for rate in (10.0, 90.0, 20.0)),
        write_proof(variant="none", rows=0, batches=0, batch_seconds=[], seconds_to_first_result=None),
    ]
    figures_path = tmp_path / "figures.json"
    drawn_twice(lambda path: plot_performance(proofs, path, figures_path, model="Net"), tmp_path)
    figures = json.loads(figures_path.read_text())
    assert set(figures) == {"aot", "jit", "many", "gpu", "none"}
    assert (figures["jit"]["threads"], figures["aot"]["threads"]) == (1, 2)
    # The full batches of 100 rows took 1, 0.5, 0.25 and 0.25 s; the short ones do not count.
    low, middle, high = np.quantile([100, 200, 400, 400], [0.16, 0.5, 0.84])
    assert figures["jit"]["rows_per_second"] == pytest.approx({"low": low, "middle": middle, "high": high})
    assert figures["jit"]["peak_resident_mebibytes"] == {"low": 300, "middle": 400, "high": 500}
    assert figures["jit"]["rows"] == 500
    assert figures["aot"]["rows_per_second"]["middle"] == 500
    assert figures["aot"]["described"] == "cpu, float32, whole shards"
    # Kept quantiles of the time: 0.2, 0.5 and 1 s.
    assert figures["many"]["rows_per_second"] == {"low": 100, "middle": 200, "high": 500}
    # Of whole jobs, because their copies are in no batch.
    assert figures["gpu"]["rows_per_second"] == {"low": 10, "middle": 20, "high": 90}
    assert figures["none"]["rows_per_second"] is None
    assert figures["none"]["seconds_to_first_result"] is None


def test_performance_of_the_jobs_own_file(tmp_path: Path) -> None:
    """The keys are those of `soaflow.infer.proof`, which the report must not import."""
    from soaflow.infer.proof import QUANTILES, Proof  # noqa: PLC0415

    numbers: dict[str, Any] = {
        name: 0 for name, field in Proof.__dataclass_fields__.items() if field.type in (int, float)
    }
    described = dict(
        **dict.fromkeys(("variant", "backend"), "jit"),
        **dict.fromkeys(("inputs", "collections"), ()),
        **dict.fromkeys(("model_sha256", "torch_version", "cpu_model", "output_layout_sha256"), ""),
        **dict.fromkeys(("output_crossing", "clock"), ""),
        chunk_rows_refused=(),
        device_seconds=None,
        gpu=None,
        events_attributes={},
        device="cpu",
        dtype="float32",
        freed_memory_kept=True,
        seconds_to_first_result=1.5,
        rows=10,
        batches=1,
        batch_seconds=(0.5,),
        batch_seconds_quantiles=(0.5,) * len(QUANTILES),
    )
    write_json(tmp_path / "proof.json", Proof(**{**numbers, **described}).to_mapping())
    plot_performance([tmp_path / "proof.json"], tmp_path / "a.svg", tmp_path / "a.json", model="Net")
    assert json.loads((tmp_path / "a.json").read_text())["jit"]["rows_per_second"]["middle"] == 20


def test_variants_keep_the_order_of_the_files(write_proof: Write) -> None:
    documents = [json.loads(write_proof(variant=name).read_text()) for name in ("jit", "aot", "eager", "jit")]
    assert [found.variant for found in measured(documents)] == ["jit", "aot", "eager"]


def test_threads_are_those_seen(write_proof: Write) -> None:
    def sentence(*threads: int) -> str:
        proofs = [write_proof(variant=f"v{i}", threads_seen=seen) for i, seen in enumerate(threads)]
        return threads_of(measured([json.loads(path.read_text()) for path in proofs]))

    assert sentence() == ""
    assert sentence(1, 1) == "one thread seen in each job"
    assert sentence(1, 4, 2) == "up to 4 threads seen in a job of v1"


@pytest.mark.parametrize("count", [1, 6, 7, 10])
def test_many_variants_differ_in_colour(count: int) -> None:
    assert len(set(colours(count))) == count


def test_no_proofs_give_a_picture(tmp_path: Path) -> None:
    drawn_twice(lambda path: plot_performance([], path, model="Net"), tmp_path)


def test_matrix_counts_outputs() -> None:
    def verdict(model: str, variant: str, *states: str) -> dict[str, Any]:
        outputs = [{"item": f"{i}"} for i, _ in enumerate(states)]
        failures = [
            {"item": f"{i}", "waived": state == "waived"} for i, state in enumerate(states) if state != "pass"
        ]
        return {"model": model, "variant": variant, "outputs": outputs, "failures": failures}

    matrix = matrix_of(
        [verdict("B", "jit", "pass"), verdict("A", "jit", "pass", "fail"), verdict("A", "jit", "waived")]
    )
    assert matrix == {"A": {"jit": Cell(1, 1, 1)}, "B": {"jit": Cell(1, 0, 0)}}
    assert [outcome(Cell(*counts)) for counts in ((1, 1, 1), (1, 1, 0), (2, 0, 0))] == [
        *("FAIL 1/3", "waived 1/2", "pass 2/2")
    ]


def test_page_is_sound_and_loads_nothing(write_verdict_of: Write, tmp_path: Path) -> None:
    verdicts = [
        write_verdict_of([1.0, 1.0], variant="aot"),
        write_verdict_of([1.0, 7.0, np.nan], variant="<jit>"),
        write_verdict_of([], model="Other", variant="aot"),
    ]
    write_verdict_table(verdicts, tmp_path / "one.html")
    write_verdict_table(list(reversed(verdicts)), tmp_path / "two.html")
    page = (tmp_path / "one.html").read_text()
    assert page == (tmp_path / "two.html").read_text()
    tags = pages_tags(page)
    assert not {tag for tag, _ in tags} & {"script", "link", "img", "iframe"}
    assert not [attributes for _, attributes in tags if {"src", "href"} & set(attributes)]
    assert "1 of 3 outputs failed." in page
    assert "&lt;jit&gt;" in page
    assert "<td class='number'>0:1, NaN/Inf 0:2</td>" in page
    assert "FAIL 1/1" in page
    rows = [attributes.get("class") for tag, attributes in tags if tag == "tr"]
    # Of the failed output: its values over the tolerance, its NaN, and its line among all outputs.
    assert rows.count("fail") == 3
    assert page.index("What failed") < page.index("class='matrix'")
    assert figures_of(page, "failures") == [
        ["6", "1e-5"],
        ["1", "0"],
    ]
    assert "the largest difference is 6 GeV at shard 0, row 1 (7, reference 1)" in page
    assert "5.9999 would pass" in page
    assert "1 NaN and 0 infinities on one side only, the first at shard 0, row 2; nothing would pass" in page
    drawn_twice(lambda path: plot_heat_map(verdicts, path), tmp_path)


def figures_of(page: str, table: str) -> list[list[str]]:
    """Return the figures of each line of a table."""
    body = page[page.index(f"<table class='{table}'>") :].partition("</table>")[0]
    lines = body.partition("<tbody>")[2].split("</tr>")[:-1]
    return [re.findall(r"<td class='number'>(.*?)</td>", line) for line in lines]


def test_page_shows_a_waived_failure_with_its_reason(write_verdict_of: Write, tmp_path: Path) -> None:
    waiver = Waiver("Net", "jit", None, (), "tolerance", "known <since> May", "2027-01-31")
    for expired, state, lead, told in (
        (
            False,
            "waived",
            "1 of 1 output failed with a waiver",
            "waived until 2027-01-31: known &lt;since&gt; May",
        ),
        (True, "fail", "1 of 1 output failed.", "waiver expired on 2027-01-31: known &lt;since&gt; May"),
    ):
        verdict = write_verdict_of([2.0], waivers=[dataclasses.replace(waiver, expired=expired)])
        write_verdict_table([verdict], tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text()
        assert [a.get("class") for tag, a in pages_tags(page) if tag == "tr"].count(state) == 2
        assert lead in page
        assert ("expired" if expired else "holds") in page.partition("<h2>Waivers</h2>")[2]
        assert told in page


def test_page_shows_a_waiver_that_waives_nothing(write_verdict_of: Write, tmp_path: Path) -> None:
    waiver = Waiver("Net", "jit", None, ("pt",), "not finite", "known", "2027-01-31")
    write_verdict_table([write_verdict_of([1.0], waivers=[waiver])], tmp_path / "page.html")
    told = (tmp_path / "page.html").read_text().partition("<h2>Waivers</h2>")[2]
    assert "<td>pt</td><td>not finite</td><td>waives nothing</td>" in told


def test_page_shows_some_failures_at_the_top_and_all_below(write_verdict_of: Write, tmp_path: Path) -> None:
    verdicts = [write_verdict_of([2.0], dataset=f"d{number}") for number in range(13)]
    write_verdict_table(verdicts, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert (len(figures_of(page, "failures")), len(figures_of(page, "all"))) == (10, 13)
    assert "3 more failures below." in page


def test_page_of_passes_and_of_nothing(write_verdict_of: Write, tmp_path: Path) -> None:
    write_verdict_table([write_verdict_of([1.0])], tmp_path / "page.html")
    assert "Every output passed (1 output)." in (tmp_path / "page.html").read_text()
    assert "What failed" not in (tmp_path / "page.html").read_text()
    write_verdict_table([], tmp_path / "page.html")
    pages_tags((tmp_path / "page.html").read_text())
    drawn_twice(lambda path: plot_heat_map([], path), tmp_path)


def test_files_of_another_kind_are_refused(write_proof: Write, tmp_path: Path) -> None:
    proof = write_proof()
    plot, page = tmp_path / "plot.svg", tmp_path / "page.html"
    attempts: list[Callable[[Path], Any]] = [
        lambda path: plot_differences([path], plot, model="Net"),
        lambda path: plot_magnitudes([path], plot, model="Net"),
        lambda path: write_verdict_table([path], page),
        lambda path: plot_heat_map([path], plot),
    ]
    for attempt in attempts:
        with pytest.raises(StorageError, match=rf"one of .*{proof.name} lacks a key or has a wrong value"):
            attempt(proof)
    wrong = write_proof(batch_seconds="fast")
    with pytest.raises(StorageError, match=rf"one of .*{wrong.name} lacks a key"):
        plot_performance([wrong], plot, model="Net")
    (tmp_path / "list.json").write_text("[]")
    for attempt in attempts:
        with pytest.raises(StorageError, match=r"list\.json is not a JSON mapping"):
            attempt(tmp_path / "list.json")
    assert not plot.exists()
    assert not page.exists()


def test_steps_stand_right_of_what_they_need(tmp_path: Path) -> None:
    columns = {step.name: column for step, column in columns_of(STEPS).items()}
    for step in STEPS:
        assert all(columns[name] < columns[step.name] for name in step.needs)
        assert {name for name, _ in step.detours} <= set(step.needs)
    with pytest.raises(ValueError, match="step 'b' needs 'c', which does not stand before it"):
        columns_of([Step("b", "", 0.0, "s", ("c",))])
    plain = drawn_twice(plot_pipeline, tmp_path)
    assert drawn_twice(lambda path: plot_pipeline(path, jobs={"infer": 70}), tmp_path) != plain
    drawn_twice(lambda path: plot_pipeline(path, STEPS[:1]), tmp_path)


def test_the_picture_in_the_readme_is_the_one_drawn(tmp_path: Path) -> None:
    plot_pipeline(tmp_path / "pipeline.svg")
    shown = Path(__file__).parents[2] / "docs/pipeline.svg"
    assert (tmp_path / "pipeline.svg").read_bytes() == shown.read_bytes()


def test_boxes_do_not_overlap() -> None:
    places = [(column, step.lane) for step, column in columns_of(STEPS).items()]
    for first in range(len(places)):
        for second in range(first):
            (x0, y0), (x1, y1) = places[first], places[second]
            assert x0 != x1 or abs(y0 - y1) >= 1
