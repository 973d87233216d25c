"""What a job says where it cannot have the GPU that it asks for."""

import os
import subprocess
import sys

import pytest
import torch

from soaflow.errors import DeviceError
from soaflow.gpu_job import on_gpu
from soaflow.gpu_settings import GpuSettings

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")]


def infer(artifact, events, predictions, **environment):
    """Run an artifact from the command line on cuda."""
    paths = [artifact, events, predictions]
    return subprocess.run(
        [sys.executable, "-m", "soaflow", "infer", *map(str, paths), "--device", "cuda"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def artifact(workshop):
    return workshop.file("SimpleNet", workshop.variant("jit_gpu", "SimpleNet"))


def test_the_command_line_runs_on_the_gpu(workshop, artifact, tmp_path):
    done = infer(artifact, workshop.events, tmp_path / "predictions.h5")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "predictions.h5").exists()


def test_a_gpu_that_is_hidden_is_one_sentence(workshop, artifact, tmp_path):
    done = infer(artifact, workshop.events, tmp_path / "predictions.h5", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "soaflow: error: variant 'jit' needs an NVIDIA GPU, and this machine shows none"
    )
    assert not list(tmp_path.iterdir())


def test_an_architecture_that_is_not_there_is_named():
    with (
        pytest.raises(DeviceError, match="a test needs a GPU of sm_10"),
        on_gpu("a test", architecture="sm_10"),
    ):
        pass


def test_settings_that_come_after_cuda_are_refused():
    with on_gpu("a test"):
        pass
    torch.ones(1, device="cuda")
    other = GpuSettings(deterministic_algorithms=False, cublas_workspace=False)
    with pytest.raises(DeviceError, match="run the variant in a process of its own"), on_gpu("a test", other):
        pass
