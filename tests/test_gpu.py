import pytest
from fake_gpus import FakeDriver, Split

from soaflow import gpu


@pytest.fixture(autouse=True)
def everything_is_visible(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def driver(monkeypatch):
    monkeypatch.setattr(gpu.ctypes, "CDLL", FakeDriver)
    return FakeDriver


@pytest.mark.usefixtures("driver")
def test_the_driver_tells_the_architecture_of_each_gpu():
    assert gpu.gpu_architectures() == ("sm_80", "sm_90", "sm_121")


@pytest.mark.usefixtures("driver")
def test_a_gpu_has_the_same_identity_whichever_others_are_visible(monkeypatch):
    everything = gpu.gpus()
    assert everything[2] == gpu.Gpu(2, "sm_121", "GPU-00000000-0000-0000-0000-000000000002")
    assert everything[2].compute_capability == "12.1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    assert gpu.gpus() == (gpu.Gpu(0, "sm_121", everything[2].identity),)


@pytest.mark.parametrize(
    ("visible", "part"), [(None, 0), ("0", 0), ("MIG-b0", 1), (",".join(reversed(Split.parts)), 1)]
)
def test_a_part_of_a_gpu_has_an_identity_of_its_own(visible, part, monkeypatch):
    monkeypatch.setattr(gpu.ctypes, "CDLL", Split)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu.gpus() == (gpu.Gpu(0, "sm_90", Split.parts[part]),)


def test_a_driver_that_does_not_start_shows_no_gpu(driver, monkeypatch):
    monkeypatch.setattr(driver, "started", 100)
    assert gpu.gpu_architectures() == ()


def test_without_a_driver_there_is_no_gpu(monkeypatch):
    def missing(_name):
        raise OSError("libcuda.so.1")

    monkeypatch.setattr(gpu.ctypes, "CDLL", missing)
    assert gpu.gpu_architectures() == ()
