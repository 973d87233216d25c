import pytest

from soaflow import gpu

CAPABILITIES = [(8, 0), (9, 0), (12, 1)]


class Driver:
    """The calls of the CUDA driver that are made, with what they answer."""

    started = 0

    def __init__(self, *_names):
        pass

    def cuInit(self, _flags):  # noqa: N802
        return self.started

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = len(CAPABILITIES)
        return 0

    def cuDeviceGetAttribute(self, value, attribute, number):  # noqa: N802
        value._obj.value = CAPABILITIES[number][{75: 0, 76: 1}[attribute]]
        return 0


@pytest.fixture
def driver(monkeypatch):
    monkeypatch.setattr(gpu.ctypes, "CDLL", Driver)
    return Driver


@pytest.mark.usefixtures("driver")
def test_the_driver_tells_the_architecture_of_each_gpu():
    assert gpu.gpu_architectures() == ("sm_80", "sm_90", "sm_121")


def test_a_driver_that_does_not_start_shows_no_gpu(driver, monkeypatch):
    monkeypatch.setattr(driver, "started", 100)
    assert gpu.gpu_architectures() == ()


def test_without_a_driver_there_is_no_gpu(monkeypatch):
    def missing(_name):
        raise OSError("libcuda.so.1")

    monkeypatch.setattr(gpu.ctypes, "CDLL", missing)
    assert gpu.gpu_architectures() == ()
