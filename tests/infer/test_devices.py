import pytest

from soaflow.errors import DeviceError
from soaflow.infer import devices
from soaflow.infer.devices import require_device
from soaflow.infer.variants import Device


def test_a_missing_gpu_is_named_with_who_asks_for_it(monkeypatch):
    monkeypatch.setattr(devices, "gpu_architectures", lambda: ())
    with pytest.raises(DeviceError, match=r"variant 'fast' runs on cuda.*no NVIDIA GPU"):
        require_device(Device.CUDA, asked_by="variant 'fast'")
    require_device(Device.CPU, asked_by="variant 'plain'")


def test_a_gpu_of_the_driver_is_accepted(monkeypatch):
    monkeypatch.setattr(devices, "gpu_architectures", lambda: ("sm_90",))
    require_device(Device.CUDA, asked_by="variant 'fast'")
