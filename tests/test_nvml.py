from typing import ClassVar

import pytest

from soaflow import nvml


class Library:
    """NVIDIA's management library of a machine with a GPU and a part of another, and what it answers."""

    refuses: tuple[str, ...] = ()
    identities: ClassVar = {b"GPU-1": 7, b"MIG-2": 8}
    names: ClassVar = {7: b"NVIDIA H100", 8: b"NVIDIA H100 MIG 1g.10gb"}

    def __init__(self, _name):
        pass

    def nvmlInit_v2(self):  # noqa: N802
        return int("start" in self.refuses)

    def nvmlSystemGetDriverVersion(self, content, _size):  # noqa: N802
        content.value = b"580.159.04"
        return 0

    def nvmlDeviceGetHandleByUUID(self, identity, handle):  # noqa: N802
        handle._obj.value = self.identities.get(identity)
        return int(identity not in self.identities)

    def nvmlDeviceGetName(self, device, content, size):  # noqa: N802
        assert size.value == len(content)
        content.value = self.names[device.value]
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, device, millijoules):  # noqa: N802
        millijoules._obj.value = 12_345_678
        return int("energy" in self.refuses or device.value != 7)


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
def test_a_part_of_a_gpu_has_a_name_and_no_counter_of_energy():
    assert nvml.gpu_name("MIG-2") == "NVIDIA H100 MIG 1g.10gb"
    assert nvml.energy_used("MIG-2") is None


@pytest.mark.usefixtures("library")
def test_a_gpu_that_the_library_does_not_know():
    assert nvml.gpu_name("GPU-2") == ""
    assert nvml.energy_used("GPU-2") is None


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
