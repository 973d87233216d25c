import pytest
import torch
from fake_gpus import FakeDriver

from soaflow import gpu
from soaflow.errors import ArtifactError, DeviceError, OutOfDeviceMemoryError
from soaflow.gpu_job import on_gpu
from soaflow.infer.on_device import device_of
from soaflow.infer.variants import Backend, Device, Variant


class Current:
    """torch's context for a GPU, which keeps what was asked of it."""

    def __init__(self, number, asked):
        self.number, self.asked = number, asked

    def __enter__(self):
        self.asked.append(self.number)

    def __exit__(self, *_):
        self.asked.append("left")


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """Three GPUs that torch seems to be able to use, and which of them it was told to."""
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device", lambda number: Current(number, asked))
    monkeypatch.setattr(gpu.ctypes, "CDLL", FakeDriver)
    monkeypatch.setenv("SOAFLOW_GPU_CLAIMS", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return asked


def test_a_variant_on_the_cpu_claims_nothing(tmp_path):
    with device_of(Variant("plain", Backend.EAGER)):
        assert not list(tmp_path.iterdir())
        assert not torch.are_deterministic_algorithms_enabled()


def test_a_variant_on_a_gpu_has_one_with_its_settings(capsys):
    variant = Variant.from_mapping("fast", {"backend": "eager", "device": "cuda", "tf32": True})
    with device_of(variant):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cuda.matmul.allow_tf32
    assert not torch.are_deterministic_algorithms_enabled()
    assert capsys.readouterr().out.startswith("variant 'fast' has GPU 0 of 3: sm_80, GPU-")


def test_an_aot_artifact_has_a_gpu_of_its_architecture(capsys):
    with device_of(Variant("aot", Backend.AOT, "cuda-sm_90", device=Device.CUDA)):
        pass
    assert "has GPU 1 of 3: sm_90" in capsys.readouterr().out
    with (
        pytest.raises(DeviceError, match="variant 'aot' needs a GPU of sm_75"),
        device_of(Variant("aot", Backend.AOT, "cuda-sm_75", device=Device.CUDA)),
    ):
        pass


def test_the_gpu_that_is_claimed_is_torchs_current_one(machine):
    with on_gpu("a test", architecture="sm_121"):
        assert machine == [2]
    assert machine == [2, "left"]


def test_a_torch_without_cuda_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with (
        pytest.raises(DeviceError, match=r"a test needs a GPU, and torch 2\..* finds none"),
        on_gpu("a test"),
    ):
        pass


def test_too_little_memory_for_a_model_is_one_sentence():
    with (
        pytest.raises(
            OutOfDeviceMemoryError, match=r"of GPU 0, GPU-.* is too little for variant 'x': run on"
        ),
        on_gpu("variant 'x'"),
    ):
        raise ArtifactError("set TMPDIR to another folder") from RuntimeError("CUDA error: out of memory")


@pytest.mark.parametrize(
    "error", [OutOfDeviceMemoryError("does not hold 8 rows"), ArtifactError("is corrupt"), KeyError("bug")]
)
def test_another_failure_stays_what_it_is(error):
    with pytest.raises(type(error)) as raised, on_gpu("variant 'x'"):
        raise error
    assert raised.value is error
