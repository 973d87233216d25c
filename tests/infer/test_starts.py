"""The measurement of starts: in turn, in processes of their own, and checked."""

import json

import numpy as np
import pytest
import torch

from soaflow.errors import ProofError, StorageError
from soaflow.infer.one_start import PARTS
from soaflow.infer.starts import cached_share, measure_starts, run_one_start
from soaflow.infer.variants import Backend, Variant

EAGER, JIT = Variant("eager", Backend.EAGER), Variant("jit", Backend.JIT)
MODEL = {"class_path": "torch.nn:Linear", "arguments": {"in_features": 3, "out_features": 1}, "seed": 1}


def told(**changes):
    return {
        "seconds": dict.fromkeys(PARTS, 0.5),
        "memory": {part: {"own_bytes": 1, "file_bytes": 2} for part in PARTS[1:]},
        "peak_resident_bytes": 9,
        "rows": 2,
        "outputs": {"energy": [1.5, 2.5]},
        "calls_agree": True,
        "threads_seen": 1,
        "major_faults": 0,
    } | changes


@pytest.fixture
def measure(bench, particles):
    """Measures with a function in the place of a process."""

    def run(start, repetitions=3, rows=5):
        particles(bench.events, rows)
        files = {}
        for variant in (EAGER, JIT):
            files[variant] = bench.folder / variant.name
            files[variant].write_bytes(b"weights")
        path = bench.folder / "starts.json"
        measure_starts(
            *(files, bench.signature, bench.events, path),
            model=MODEL,
            model_name="M",
            repetitions=repetitions,
            run=start,
        )
        return json.loads(path.read_text())

    return run


def test_variants_are_started_in_turn_and_back(measure):
    order = []

    def start(task):
        order.append(task["variant"]["name"])
        assert task["events"].endswith("events.h5")
        assert task["file"].endswith(task["variant"]["name"])
        return told()

    found = measure(start)
    assert order == ["eager", "jit", "jit", "eager", "eager", "jit"]
    assert found["in_turn"] == ["eager", "jit"]
    assert found["parts"] == list(PARTS)
    assert [len(starts) for starts in found["starts"].values()] == [3, 3]
    start = found["starts"]["jit"][0]
    assert start["cached"].keys() == {"model", "torch"}
    assert "outputs" not in start


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"threads_seen": 2}, "2 threads were seen"),
        ({"calls_agree": False}, "gave other outputs in one of its calls"),
        ({"outputs": {"energy": [1.5, 2.5000001]}}, "gave other outputs than the first start"),
    ],
)
def test_a_fault_of_one_start_writes_nothing(measure, bench, fault, said):
    starts = iter([told(), told(), told(), told(**fault)])
    with pytest.raises(ProofError, match=f"because a start of 'eager' .*{said}"):
        measure(lambda _task: next(starts))
    assert not (bench.folder / "starts.json").exists()


def test_another_computation_writes_nothing_and_a_rounding_passes(measure):
    near, far = [1.50001, 2.5], [1.5, 2.6]
    measure(lambda task: told(outputs={"energy": near if task["variant"]["name"] == "jit" else [1.5, 2.5]}))
    with pytest.raises(
        ProofError, match=r"'jit' gave item 'energy' as 2\.6 in row 1 where the first one has 2\.5"
    ):
        measure(
            lambda task: told(outputs={"energy": far if task["variant"]["name"] == "jit" else [1.5, 2.5]})
        )


def test_a_nan_is_the_same_nan_from_start_to_start(measure):
    assert measure(lambda _task: told(outputs={"energy": [float("nan"), 1.0]}))["starts"]["jit"]


def test_events_without_rows_start_nothing(measure):
    assert measure(lambda _task: pytest.fail("started"), rows=0)["starts"] == {"eager": [], "jit": []}


def task(bench, path):
    return {
        "variant": {"name": "eager", "backend": "eager"},
        "signature": bench.signature.to_mapping(),
        "file": str(path),
        "model": MODEL,
        "events": str(bench.events),
    }


def test_a_process_of_its_own_tells_its_parts_and_gives_the_models_outputs(bench, particles):
    particles(bench.events, 70)
    model = torch.nn.Linear(3, 1)
    path = bench.folder / "weights.pt"
    torch.save(model.state_dict(), path)
    started = run_one_start(task(bench, path))
    assert list(started["seconds"]) == list(PARTS)
    assert all(seconds > 0 for seconds in started["seconds"].values())
    assert started["seconds"]["imports"] > started["seconds"]["third call"]
    assert (started["threads_seen"], started["rows"], started["calls_agree"]) == (1, 64, True)
    assert started["peak_resident_bytes"] > started["memory"]["third call"]["own_bytes"] > 1 << 20
    columns = np.stack([bench.events_column(name)[:64] for name in ("pt", "eta", "phi")], axis=1)
    expected = model(torch.from_numpy(columns)).detach().numpy()[:, 0]
    assert started["outputs"]["energy"] == pytest.approx(expected, rel=1e-5)


def test_a_process_that_fails_is_a_sentence(bench, particles):
    particles(bench.events, 5)
    (bench.folder / "weights.pt").write_bytes(b"no weights")
    with pytest.raises(
        ProofError, match=r"variant 'eager' does not start in a process of its own: .*weights\.pt"
    ):
        run_one_start(task(bench, bench.folder / "weights.pt"))


def test_the_share_of_a_file_in_the_page_cache(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10_000)
    assert cached_share(path) == 1.0
    (tmp_path / "empty").touch()
    assert cached_share(tmp_path / "empty") == 1.0


def test_other_events_are_refused(bench):
    bench.events.write_bytes(b"no events")
    with pytest.raises(StorageError):
        measure_starts(
            *({EAGER: bench.events}, bench.signature, bench.events, bench.folder / "starts.json"),
            model=MODEL,
            model_name="M",
            repetitions=1,
        )
