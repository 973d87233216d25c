import pytest

from soaflow import energy
from soaflow.energy import cpu_energy_used, measured_energy


def zone(root, name, used, limit=1_000_000_000):
    folder = root / "sys/class/powercap" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "energy_uj").write_text(f"{used}\n")
    (folder / "max_energy_range_uj").write_text(f"{limit}\n")


def test_packages_are_counted_and_not_their_parts(tmp_path):
    zone(tmp_path, "intel-rapl:0", 2_500_000)
    zone(tmp_path, "intel-rapl:1", 1_000_000)
    zone(tmp_path, "intel-rapl:0:0", 999)
    assert cpu_energy_used(tmp_path) == {"intel-rapl:0": (2.5, 1000.0), "intel-rapl:1": (1.0, 1000.0)}


def test_a_counter_that_may_not_be_read_is_none(tmp_path):
    assert cpu_energy_used(tmp_path) is None
    zone(tmp_path, "intel-rapl:0", "no number")
    assert cpu_energy_used(tmp_path) is None


@pytest.fixture
def counters(monkeypatch):
    """What the counters of the CPU and of a GPU will say, one reading after the other."""

    def say(cpu, gpu):
        readings = {"cpu": iter(cpu), "gpu": iter(gpu)}
        monkeypatch.setattr(energy, "cpu_energy_used", lambda: next(readings["cpu"]))
        monkeypatch.setattr(energy, "energy_used", lambda _: next(readings["gpu"]))

    return say


def test_the_energy_of_calls_is_what_the_counters_have_moved(counters):
    counters([{"a": (9.0, 10.0)}, {"a": (2.0, 10.0)}], [100.0, 160.0])
    found = measured_energy(lambda: None, 0.01, "GPU-1")
    assert (found.cpu_joules, found.gpu_joules) == (3.0, 60.0)
    assert found.calls > 1
    assert found.seconds >= 0.01


def test_a_device_without_a_counter_has_none_and_without_any_nothing_is_called(counters):
    counters([None, None], [100.0, 101.0])
    found = measured_energy(lambda: None, 0.0, "GPU-1")
    assert (found.cpu_joules, found.gpu_joules, found.calls) == (None, 1.0, 1)
    counters([None], [])

    def call():
        raise AssertionError

    assert measured_energy(call, 1.0) is None
