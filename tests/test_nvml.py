import pytest

from soaflow import nvml


class Library:
    """NVIDIA's management library of a machine with one GPU, and what it answers."""

    refuses: tuple[str, ...] = ()

    def __init__(self, _name):
        pass

    def nvmlInit_v2(self):  # noqa: N802
        return int("start" in self.refuses)

    def nvmlSystemGetDriverVersion(self, content, _size):  # noqa: N802
        content.value = b"580.159.04"
        return 0

    def nvmlDeviceGetHandleByUUID(self, identity, handle):  # noqa: N802
        handle._obj.value = 7
        return int(identity != b"GPU-1")

    def nvmlDeviceGetName(self, device, content, size):  # noqa: N802
        assert (device.value, size.value) == (7, len(content))
        content.value = b"NVIDIA H100"
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, device, millijoules):  # noqa: N802
        assert device.value == 7
        millijoules._obj.value = 12_345_678
        return int("energy" in self.refuses)


@pytest.fixture
def library(monkeypatch):
    monkeypatch.setattr(nvml.ctypes, "CDLL", Library)
    nvml._library.cache_clear()
    yield lambda *refuses: monkeypatch.setattr(Library, "refuses", refuses)
    nvml._library.cache_clear()


@pytest.mark.usefixtures("library")
def test_what_the_library_says_of_a_gpu():
    assert nvml.driver_version() == "580.159.04"
    assert nvml.gpu_name("GPU-1") == "NVIDIA H100"
    assert nvml.energy_used("GPU-1") == 12345.678


@pytest.mark.usefixtures("library")
def test_a_gpu_that_the_library_does_not_know():
    assert nvml.gpu_name("MIG-1") == ""
    assert nvml.energy_used("MIG-1") is None


def test_a_gpu_without_a_counter_of_energy(library):
    library("energy")
    assert nvml.energy_used("GPU-1") is None


def test_a_library_that_does_not_start(library):
    library("start")
    assert (nvml.driver_version(), nvml.gpu_name("GPU-1"), nvml.energy_used("GPU-1")) == ("", "", None)


@pytest.mark.usefixtures("library")
def test_no_library(monkeypatch):
    def missing(_name):
        raise OSError("libnvidia-ml.so.1")

    monkeypatch.setattr(nvml.ctypes, "CDLL", missing)
    assert (nvml.driver_version(), nvml.gpu_name("GPU-1"), nvml.energy_used("GPU-1")) == ("", "", None)
