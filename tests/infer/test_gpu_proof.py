"""What a proof says of the GPU, with stand-ins for what torch and the driver say; `tests/gpu` asks them."""

from types import SimpleNamespace

import pytest
import torch

from soaflow import nvml
from soaflow.infer import gpu_proof, run
from soaflow.infer.gpu_proof import GpuProof, gpu_of_run
from soaflow.infer.proof import read_proof
from soaflow.infer.variants import Variant

ON_THE_CPU = Variant.from_mapping("plain", {"backend": "eager"})
ON_A_GPU = Variant.from_mapping(
    "fast",
    {
        "backend": "jit",
        "device": "cuda",
        "tf32": True,
        "deterministic_algorithms": False,
        "cublas_workspace": False,
        "cuda_graphs": True,
    },
)


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Two GPUs of which torch uses the second, and what the driver and torch's build say of themselves."""
    of_number = (
        SimpleNamespace(name="NVIDIA A100", major=8, minor=0),
        SimpleNamespace(name="A GPU", major=12, minor=1),
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", of_number.__getitem__)
    monkeypatch.setattr(nvml, "driver_version", lambda: "580.159.04")
    monkeypatch.setattr(gpu_proof, "cuda_of_torch", lambda: "13.0")


def test_a_run_on_the_cpu_has_no_gpu():
    assert gpu_of_run(ON_THE_CPU) is None


def test_a_run_on_a_gpu_names_torchs_current_one_and_the_settings_of_the_variant():
    assert gpu_of_run(ON_A_GPU) == GpuProof(
        name="A GPU",
        architecture="sm_121",
        driver="580.159.04",
        cuda="13.0",
        cuda_graphs=True,
        tf32=True,
        deterministic_algorithms=False,
        cublas_workspace=False,
        reduced_precision_sums=False,
        cudnn_benchmark=False,
    )


def test_a_job_writes_it_into_its_proof(bench, particles, monkeypatch):
    asked = []
    monkeypatch.setattr(run, "gpu_of_run", lambda variant: asked.append(variant) or gpu_of_run(ON_A_GPU))
    particles(bench.events, 3)
    bench.run()
    assert read_proof(bench.proof).gpu == gpu_of_run(ON_A_GPU)
    assert [variant.name for variant in asked] == ["plain"]


def test_a_gpu_that_torch_does_not_know_has_no_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = gpu_of_run(ON_A_GPU)
    assert (found.name, found.architecture, found.tf32) == ("", "", True)
