"""The measurement of a model's variants: what is timed and checked, and the faults that write nothing."""

import itertools
import json
import threading
import time
from contextlib import contextmanager
from typing import ClassVar

import pytest
import torch
from torch import nn

from soaflow import energy
from soaflow.errors import ProofError
from soaflow.gpu import Gpu
from soaflow.infer import speed
from soaflow.infer.backends import eager
from soaflow.infer.crossing import CrossingBackend
from soaflow.infer.speed import measure_speed
from soaflow.infer.variants import Backend, Variant
from soaflow.timing import Pace, Times

PACE = Pace(seconds=0.0, window_seconds=0.0, warm_up_seconds=0.0)
"""As few calls as there can be: nothing here is timed for long."""

EAGER, OTHER = Variant("eager", Backend.EAGER), Variant("other", Backend.EAGER, dtype="float64")


class Weighted(nn.Module):
    def forward(self, particles):
        return particles.sum(dim=1, keepdim=True)


class WrongLater(nn.Module):
    """Right until some call, and then not."""

    def __init__(self, last_right):
        super().__init__()
        self.calls, self.last_right = 0, last_right

    def forward(self, particles):
        self.calls += 1
        return particles.sum(dim=1, keepdim=True) + float(self.calls > self.last_right)


@pytest.fixture
def measure(bench, particles):
    particles(bench.events, 30)

    def run(other=None, batch_sizes=(1, 16, 0)):
        loads = {
            EAGER: lambda: eager(Weighted(), "float32"),
            OTHER: lambda: eager(other or Weighted(), "float64"),
        }
        path = bench.folder / "speed.json"
        try:
            measure_speed(
                *(loads, bench.signature, bench.events, path), model="M", batch_sizes=batch_sizes, pace=PACE
            )
        finally:
            run.left = sorted(entry.name for entry in bench.folder.iterdir())
        return json.loads(path.read_text())

    return run


def test_every_variant_is_timed_and_checked_at_every_batch_size(measure):
    found = measure()
    assert found["in_turn"] == ["eager", "other"]
    assert [entry["rows"] for entry in found["by_rows"]] == [1, 16, 30]
    assert (found["rows"], found["events"]) == (30, {"dataset": "toy"})
    for entry in found["by_rows"]:
        for name in found["in_turn"]:
            times, proof = Times.from_mapping(entry["times"][name]), entry["proof"][name]
            assert len(times.windows) == PACE.least_windows
            assert proof["windows"] == len(times.windows) + 1
            assert proof["calls"] == times.calls + times.warm_up_calls
            assert proof["threads_seen"] == 1
    assert found["machine"]["cpu"]
    assert found["load"]["wall_seconds"] > 0
    assert found["variants"]["other"]["dtype"] == "float64"


def test_a_variant_that_computes_wrongly_inside_the_timed_run_writes_nothing(measure):
    # 2 calls to warm up and 32 of the first run, as there are twice the rows of the largest batch.
    with pytest.raises(
        ProofError,
        match=r"speed\.json is not written, because item 'energy' of 'other' at 1 rows.*other bits",
    ):
        measure(WrongLater(last_right=34))
    assert "speed.json" not in measure.left


def test_a_variant_of_another_model_writes_nothing(measure):
    class Other(nn.Module):
        def forward(self, particles):
            return particles[:, :1]

    with pytest.raises(ProofError, match="is not written, because item 'energy' of 'other'"):
        measure(Other())
    assert "speed.json" not in measure.left


def test_a_variant_that_starts_a_thread_writes_nothing(measure):
    end, started = threading.Event(), []

    class Threaded(nn.Module):
        def forward(self, particles):
            if not started:
                started.append(threading.Thread(target=end.wait))
                started[0].start()
            return particles.sum(dim=1, keepdim=True)

    try:
        with pytest.raises(ProofError, match=r"because in calls of '(eager|other)' 2 threads were seen"):
            measure(Threaded())
    finally:
        end.set()
        started[0].join()
    assert "speed.json" not in measure.left


def test_a_variant_whose_threads_are_gone_after_each_call_writes_nothing(measure):
    """Where they are not counted, their CPU time is."""

    class Bursts(nn.Module):
        def forward(self, particles):
            threads = [threading.Thread(target=burn, args=(0.01,)) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return particles.sum(dim=1, keepdim=True)

    with pytest.raises(
        ProofError, match=r"other threads than the job's own took 0\.\d+ s|2 threads were seen"
    ):
        measure(Bursts(), batch_sizes=(16,))


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_events_without_rows_are_measured_as_none(bench, particles):
    particles(bench.events, 0)
    path = bench.folder / "speed.json"
    loads = {EAGER: lambda: eager(Weighted(), "float32")}
    measure_speed(*(loads, bench.signature, bench.events, path), model="M", batch_sizes=(1, 0), pace=PACE)
    assert json.loads(path.read_text())["by_rows"] == []


ON_GPU = Variant("gpu", Backend.EAGER, device="cuda")


@pytest.fixture
def stand_in(monkeypatch):
    """A GPU that is the CPU: what crosses to it stays there, and its counter of energy moves."""
    joules = itertools.count(100.0, 7.0)

    @contextmanager
    def claimed(*_, **__):
        yield Gpu(0, "sm_90", "GPU-1")

    monkeypatch.setattr(speed, "on_gpu", claimed)
    monkeypatch.setattr(
        speed, "CrossingBackend", lambda made, signature, _: CrossingBackend(made, signature, "cpu")
    )
    monkeypatch.setattr(speed, "ENERGY_SECONDS", 0.0)
    monkeypatch.setattr(energy, "energy_used", lambda _: next(joules))
    monkeypatch.setattr(energy, "cpu_energy_used", lambda: None)


def with_a_gpu(bench, model):
    loads = {EAGER: lambda: eager(Weighted(), "float32"), ON_GPU: lambda: eager(model, "float32")}
    path = bench.folder / "speed.json"
    events = (bench.signature, bench.events, path)
    return measure_speed(loads, *events, model="M", batch_sizes=(1, 16), pace=PACE)


class Seen(Weighted):
    """Keeps whether torch was deterministic in each call."""

    deterministic: ClassVar[set[bool]] = set()

    def forward(self, particles):
        self.deterministic.add(torch.are_deterministic_algorithms_enabled())
        return super().forward(particles)


@pytest.mark.usefixtures("stand_in")
def test_a_variant_on_a_gpu_is_timed_beside_the_others_with_its_settings_and_its_energy(bench, particles):
    particles(bench.events, 30)
    found = with_a_gpu(bench, Seen())
    assert Seen.deterministic == {True}
    assert not torch.are_deterministic_algorithms_enabled()
    assert {name: one["device"] for name, one in found["variants"].items()} == {"eager": "cpu", "gpu": "cuda"}
    for entry in found["by_rows"]:
        assert set(entry["times"]) == {"eager", "gpu"}
        assert entry["energy"]["gpu"]["gpu_joules"] == 7.0
        assert "eager" not in entry["energy"]


@pytest.mark.usefixtures("stand_in")
def test_threads_of_a_gpu_s_driver_are_no_work_of_the_cpu_s(bench, particles):
    particles(bench.events, 30)
    end = threading.Event()
    driver = threading.Thread(target=end.wait)
    driver.start()
    try:
        assert with_a_gpu(bench, Weighted())["by_rows"]
    finally:
        end.set()
        driver.join()


@pytest.mark.usefixtures("stand_in")
def test_a_wrong_output_of_a_gpu_writes_nothing(bench, particles):
    particles(bench.events, 30)
    with pytest.raises(ProofError, match="because item 'energy' of 'gpu' at 1 rows"):
        with_a_gpu(bench, WrongLater(last_right=34))
    assert not (bench.folder / "speed.json").exists()
