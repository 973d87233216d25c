import pytest
import torch

from soaflow.errors import DeviceError
from soaflow.infer import devices
from soaflow.infer.devices import InPlace, OnDevice, place_for, require_device
from soaflow.infer.variants import Device


def test_a_missing_gpu_is_named_with_who_asks_for_it(monkeypatch):
    monkeypatch.setattr(devices, "gpu_architectures", lambda: ())
    with pytest.raises(DeviceError, match=r"variant 'fast' runs on cuda.*no NVIDIA GPU"):
        require_device(Device.CUDA, asked_by="variant 'fast'")
    require_device(Device.CPU, asked_by="variant 'plain'")


def test_a_gpu_of_the_driver_is_accepted(monkeypatch):
    monkeypatch.setattr(devices, "gpu_architectures", lambda: ("sm_90",))
    require_device(Device.CUDA, asked_by="variant 'fast'")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_place_on_a_gpu_that_torch_cannot_use_is_refused():
    with pytest.raises(DeviceError, match="cuda"):
        place_for(Device.CUDA)


def test_in_place_moves_nothing():
    place, blob = InPlace(), torch.zeros(256, dtype=torch.uint8)
    assert place.bring_in(blob) is blob
    assert place.output_for(blob) is blob
    assert (place.transfers_in, place.transfers_out) == (0, 0)


def test_on_device_moves_each_blob_once_each_way():
    place, blob = OnDevice(torch.device("cpu")), torch.arange(256, dtype=torch.uint8)
    moved = place.bring_in(blob)
    assert moved.data_ptr() != blob.data_ptr()
    assert torch.equal(moved, blob)
    written = place.output_for(blob)
    assert not written.any()
    place.take_out(written, blob)
    assert not blob.any()
    assert (place.transfers_in, place.bytes_in, place.transfers_out, place.bytes_out) == (1, 256, 1, 256)
