import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soaflow.cli import main
from soaflow.events.datasets import ToyDataset
from soaflow.events.shards import write_shard
from soaflow.invariance import Batches, Invariance, write_invariance
from soaflow.lineage.figures import without_shards
from soaflow.lineage.reproduction import Outcome, by_kind, compare_runs
from soaflow.sameness import OutputSameness, Sameness
from soaflow.soa.gathered import gather
from soaflow.soa.layout import Item, Layout
from soaflow.soa.storage import EVENTS, PREDICTIONS, map_blob, read_header, writing


def verdict(shards: list[tuple[str, int]], worst: tuple[str, int]) -> dict[str, Any]:
    """What a verdict on shards says, with the worst row in one of them."""
    place = {"shard": worst[0], "row": worst[1]}
    criteria = [
        {"name": "tolerance", "measured": 0.5, "allowed": 1.0, "needed": 0.5, "passed": True},
        {"name": "batches of 7", "measured": len(shards), "allowed": 9.0, "needed": 1.0, "passed": True},
    ]
    return {
        "model": "Net",
        "shards": [{"name": name, "rows": rows, "events_sha256": name} for name, rows in shards],
        "outputs": [
            {
                "item": "p",
                "worst": [place],
                "criteria": [criterion | {"detail": f"row {worst}"} for criterion in criteria],
            }
        ],
    }


def write_results(folder: Path, shards: int) -> Path:
    results = folder / str(shards) / "results"
    toy = ToyDataset("toy", seed=3, events=30, shards=shards, collections=("particles",))
    rows = []
    for shard in range(shards):
        path = results / f"events/toy/{shard}.h5"
        write_shard(toy, shard, path)
        rows.append((str(shard), read_header(path, EVENTS).collection("particles").placement.rows))
    last, count = rows[-1]
    files = {
        "weights/Net.pt": "weights",
        "weights/Net.pt.origin.json": json.dumps({"origin": {"source": "trained"}}),
        "training/Net.tsv": "curve",
        "report/pipeline.svg": "picture",
        "report/parity/Net.svg": f"of {shards} shards",
        "report/learning_curves/Net.svg": "picture",
        "report/physics/Net.p.svg": "picture",
        "decisions/toy/Net.jit.json": json.dumps({"flips": 0}),
        "speed/Net.brief.json": f"times {shards}",
        "verdicts/toy/Net.jit.json": json.dumps(verdict(rows, (last, count - 1))),
        "verdicts/passed.txt": "1 of 1",
    }
    for name, text in files.items():
        path = results / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    write_invariance(results / "invariance/toy/Net.jit.json", measured(rows[0][1], 2.0**-22))
    write_predicted(results, "jit", [count for _, count in rows])
    return results


def measured(rows: int, largest: float) -> Invariance:
    """One row that lies apart in one batch size."""
    apart = (
        Sameness(rows, 1, 0, largest, 3, ("0", 1), ((1.0, largest),)) if largest else Sameness.of_nothing()
    )
    same = Sameness(rows, 0, 0, 0.0, 0, None, ())
    return Invariance(
        *("toy", "0", "Net", "jit", "w", "e", rows),
        rerun=(OutputSameness("p", "", same),),
        batches=(Batches(7, (OutputSameness("p", "", apart),)),),
    )


def write_predicted(
    results: Path, variant: str, counts: list[int], changed: dict[int, float] | None = None
) -> None:
    """Predictions in shards of so many rows: the rows' numbers, plus what is changed of them."""
    layout = Layout((Item("p", "float32"),))
    begin = 0
    for shard, count in enumerate(counts):
        path = results / f"predictions/toy/{shard}/Net.{variant}.h5"
        values = np.arange(begin, begin + count, dtype="float32")
        for row, change in (changed or {}).items():
            if begin <= row < begin + count:
                values[row - begin] += change
        with writing(path, PREDICTIONS, {"predictions": layout.place(count)}, {}) as writer:
            writer.write("predictions", "p", values)
        proof = {"model_sha256": "m", "backend": "jit", "dtype": "float32", "device": "cpu"}
        path.with_name(f"Net.{variant}.proof.json").write_text(json.dumps(proof))
        begin += count


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """The same run on one shard and on three."""
    return write_results(tmp_path, 1), write_results(tmp_path, 3)


def test_figures_count_rows_through_all_shards() -> None:
    def worst(shards: list[tuple[str, int]], place: tuple[str, int]) -> Any:
        return without_shards(verdict(shards, place))["outputs"][0]["worst"]

    assert worst([("0", 9)], ("0", 5)) == worst([("0", 3), ("1", 6)], ("1", 2)) == [{"row": 5}]
    assert worst([("0", 3), ("1", 6)], ("1", 3)) == [{"row": 6}]


def test_other_shards_change_what_they_must_and_nothing_else(runs: tuple[Path, Path]) -> None:
    compared = compare_runs(*runs)
    assert not any(one.fails for one in compared)
    expected = {one.name: one.reason for one in compared if one.outcome is Outcome.EXPECTED}
    shards = {f"toy/{shard}.h5" for shard in range(3)} | {f"toy/{shard}/Net.jit.h5" for shard in range(3)}
    assert expected.keys() == {*shards, "toy/Net.jit", "parity/Net.svg"}
    assert {one.kind for one in by_kind(compared)} == {
        *("events", "event files", "weights", "origins", "learning curves", "invariance"),
        *("predictions", "prediction files", "decisions", "verdicts", "outcomes", "pictures"),
    }
    counts = {one.kind: one.counts for one in by_kind(compared)}
    assert counts["events"][Outcome.EQUAL] > 5
    assert counts["events"].keys() == {Outcome.EQUAL}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("weights/Net.pt", "weights"),
        ("training/Net.tsv", "learning curves"),
        ("report/pipeline.svg", "pictures"),
        ("verdicts/passed.txt", "outcomes"),
    ],
)
def test_a_changed_byte_is_found(runs: tuple[Path, Path], name: str, kind: str) -> None:
    path = runs[1] / name
    path.write_text(path.read_text().translate({ord("e"): "E", ord("1"): "2"}))
    found = [one for one in compare_runs(*runs) if one.fails]
    assert [(one.kind, one.outcome) for one in found] == [(kind, Outcome.DIFFERENT)]


def test_a_changed_row_in_another_shard_is_found(runs: tuple[Path, Path]) -> None:
    values = map_blob(read_header(runs[1] / "events/toy/2.h5", EVENTS), "particles", shared=True).array("eta")
    values[-1:] += 1
    found = [one for one in compare_runs(*runs) if one.fails]
    assert [(one.kind, one.name) for one in found] == [("events", "toy: particles/eta")]


@pytest.mark.parametrize(
    ("criterion", "key", "value", "kinds"),
    [
        (0, "measured", 0.25, {"verdicts"}),
        (0, "passed", False, {"verdicts", "outcomes"}),
        # What was measured of batches is that of other rows; whether it passes must still be the same.
        (1, "measured", 7, set()),
        (1, "passed", False, {"outcomes"}),
    ],
)
def test_a_changed_verdict_is_found(
    runs: tuple[Path, Path], criterion: int, key: str, value: object, kinds: set[str]
) -> None:
    path = runs[1] / "verdicts/toy/Net.jit.json"
    planted = json.loads(path.read_text())
    planted["outputs"][0]["criteria"][criterion][key] = value
    path.write_text(json.dumps(planted))
    assert {one.kind for one in compare_runs(*runs) if one.fails} == kinds


def change_prediction(results: Path, change: float) -> None:
    """Change the third row of all, which is in the first shard of any."""
    path = results / "predictions/toy/0/Net.jit.h5"
    map_blob(read_header(path, PREDICTIONS), "predictions", shared=True).array("p")[2] += change


def test_rows_in_other_batches_may_lie_as_far_apart_as_was_measured(runs: tuple[Path, Path]) -> None:
    change_prediction(runs[1], 2.0**-22)
    found = [one for one in compare_runs(*runs) if one.kind in ("predictions", "verdicts") and one.reason]
    assert [(one.kind, one.outcome) for one in found if one.kind == "predictions"] == [
        ("predictions", Outcome.EXPECTED)
    ]
    assert "1 of " in found[0].detail
    assert "1 ULP" in found[0].detail


@pytest.mark.parametrize("change", [2.0**-18, float("nan")])
def test_rows_that_lie_farther_apart_are_found(runs: tuple[Path, Path], change: float) -> None:
    change_prediction(runs[1], change)
    assert [one.kind for one in compare_runs(*runs) if one.fails] == ["predictions"]


def test_no_row_is_excused_where_batches_give_the_same_bits(runs: tuple[Path, Path]) -> None:
    for results in runs:
        write_invariance(results / "invariance/toy/Net.jit.json", measured(5, 0.0))
    change_prediction(runs[1], 2.0**-22)
    assert [one.kind for one in compare_runs(*runs) if one.fails] == ["predictions"]


@pytest.mark.parametrize(
    ("pattern", "kinds"),
    [
        ("weights/Net.pt", {"weights"}),
        ("invariance/toy/Net.jit.json", {"invariance"}),
        ("decisions/toy/Net.jit.json", {"decisions"}),
        ("verdicts/toy/Net.jit.json", {"verdicts", "outcomes"}),
        ("predictions/toy/*/Net.jit.h5", {"predictions"}),
        ("report/parity/Net.svg", {"pictures"}),
        ("report/physics/Net.p.svg", {"pictures"}),
    ],
)
@pytest.mark.parametrize("lacking", [0, 1])
def test_what_one_run_alone_has_is_found(
    runs: tuple[Path, Path], lacking: int, pattern: str, kinds: set[str]
) -> None:
    # Predictions that depend on their batch excuse other figures, and no lack of them.
    change_prediction(runs[1], 2.0**-22)
    for path in runs[lacking].glob(pattern):
        path.unlink()
    found = {one.kind: one.outcome for one in compare_runs(*runs) if one.fails}
    assert found == dict.fromkeys(kinds, Outcome.MISSING)
    assert main(["reproduced", *map(str, runs)]) == 1


def test_pictures_of_a_training_are_not_drawn_for_given_weights(runs: tuple[Path, Path]) -> None:
    (runs[1] / "report/learning_curves/Net.svg").unlink()
    (runs[1] / "report/physics/Net.p.svg").unlink()
    found = {one.name: one.outcome for one in compare_runs(*runs) if one.alone and one.kind == "pictures"}
    assert found == dict.fromkeys(("learning_curves/Net.svg", "physics/Net.p.svg"), Outcome.EXPECTED)


def test_what_gathered_files_show_is_compared_as_predictions(runs: tuple[Path, Path]) -> None:
    before = compare_runs(*runs)
    for results in runs:
        folder = results / "predictions/toy"
        gather(sorted(folder.glob("*/Net.jit.h5")), folder / "Net.jit.h5")
    assert compare_runs(*runs) == before


def test_nothing_is_excused_where_the_shards_are_the_same(runs: tuple[Path, Path], tmp_path: Path) -> None:
    again = write_results(tmp_path / "again", 3)
    assert all(one.outcome is Outcome.EQUAL for one in compare_runs(runs[1], again))
    (again / "report/learning_curves/Net.svg").unlink()
    (again / "invariance/toy/Net.jit.json").write_text('{"rows": 1}')
    change_prediction(again, 2.0**-22)
    with (again / "events/toy/1.h5").open("ab") as stream:
        stream.write(b"x")
    assert {one.kind for one in compare_runs(runs[1], again) if one.fails} == {
        *("event files", "invariance", "pictures", "predictions", "prediction files"),
    }


def test_reproduced_prints_the_table_and_the_differences(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduced", *map(str, runs)]) == 0
    said = capsys.readouterr().out
    assert "expected: event files toy/0.h5 (the same rows in other shards)" in said
    (runs[1] / "weights/Net.pt").write_text("others")
    assert main(["reproduced", *map(str, runs), "--kinds", "events"]) == 0
    capsys.readouterr()
    assert main(["reproduced", *map(str, runs)]) == 1
    assert "DIFFERENT: weights Net.pt" in capsys.readouterr().out
    assert main(["reproduced", str(runs[0]), str(runs[1] / "nowhere")]) == 2
    assert "holds no results" in capsys.readouterr().err
