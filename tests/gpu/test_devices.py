"""What the driver, NVML and torch say of the same GPU, and that soaflow's claims and settings reach it."""

import os
import subprocess
import sys

import pytest
import torch

from soaflow.gpu import cuda_of_torch, gpus
from soaflow.gpu_job import on_gpu
from soaflow.gpu_settings import GpuSettings
from soaflow.infer.gpu_proof import gpu_of_run
from soaflow.infer.variants import Backend, Device, Variant
from soaflow.nvml import driver_version, energy_used, gpu_name

pytestmark = pytest.mark.gpu

ANOTHER_JOB = """
from soaflow.gpu import gpus
from soaflow.gpu_claims import claimed_gpu
with claimed_gpu(gpus(), asked_by="another job"):
    print("has one", flush=True)
"""


def test_the_driver_shows_the_gpus_that_torch_uses():
    found = gpus()
    assert len(found) == torch.cuda.device_count()
    for gpu in found:
        properties = torch.cuda.get_device_properties(gpu.number)
        assert gpu.architecture == f"sm_{properties.major}{properties.minor}"
        assert gpu.identity in (f"GPU-{properties.uuid}", f"MIG-{properties.uuid}")
    assert cuda_of_torch() == torch.version.cuda


def test_the_management_library_knows_the_gpu():
    gpu = gpus()[0]
    assert gpu_name(gpu.identity) == torch.cuda.get_device_name(gpu.number)
    assert driver_version().count(".") >= 1


def test_a_proof_names_the_gpu_that_a_job_has():
    with on_gpu("a test") as gpu:
        found = gpu_of_run(Variant("fast", Backend.JIT, device=Device.CUDA))
    assert (found.name, found.architecture) == (gpu_name(gpu.identity), gpu.architecture)
    assert (found.driver, found.cuda) == (driver_version(), torch.version.cuda)


def test_work_uses_energy():
    with on_gpu("a test") as gpu:
        before = energy_used(gpu.identity)
        if before is None:
            pytest.skip("this GPU has no counter of energy")
        factor = torch.ones(4096, 4096, device="cuda")
        for _ in range(200):
            factor @ factor
        torch.cuda.synchronize()
    assert energy_used(gpu.identity) > before


def test_a_gpu_that_a_job_has_is_no_other_s():
    first = gpus()[0]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": first.identity}
    with on_gpu("a test") as gpu:
        assert (gpu, torch.cuda.current_device()) == (first, first.number)
        other = subprocess.Popen(
            [sys.executable, "-c", ANOTHER_JOB], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert other.stdout.readline() == (
            "another job waits: the one GPU that it may use is claimed by other jobs\n"
        )
    assert other.communicate(timeout=60)[0] == "has one\n"
    assert other.returncode == 0


def error_of_a_product(settings):
    """How far a product of float32 is from float64, relative to its largest value."""
    with on_gpu("a test", settings):
        generator = torch.Generator("cuda").manual_seed(1)
        one, other = (torch.randn(512, 512, device="cuda", generator=generator) for _ in range(2))
        exact = one.double() @ other.double()
        return float(((one @ other).double() - exact).abs().max() / exact.abs().max())


@pytest.mark.skipif("torch.cuda.is_available() and torch.cuda.get_device_capability() < (8, 0)")
def test_float32_is_rounded_to_tf32_only_where_that_is_asked_for():
    assert error_of_a_product(GpuSettings()) < 1e-6
    assert error_of_a_product(GpuSettings(tf32=True)) > 1e-5


def test_an_operation_without_a_deterministic_algorithm_is_refused():
    with on_gpu("a test"), pytest.raises(RuntimeError, match="deterministic"):
        torch.ones(4, device="cuda").put_(
            torch.zeros(2, dtype=torch.int64, device="cuda"), torch.ones(2, device="cuda")
        )
    assert not torch.are_deterministic_algorithms_enabled()
