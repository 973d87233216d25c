"""Artifacts for the GPU of this machine: built, described truly, verified and loaded."""

import dataclasses
import importlib.metadata

import pytest
import torch

from soaflow.errors import ArtifactError
from soaflow.gpu import gpus
from soaflow.gpu_job import on_gpu
from soaflow.infer.loading import load_artifact
from soaflow.models.torchscript import constants
from soaflow.nvml import driver_version
from soaflow.verification import Host, examine, verify_artifact

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")]

MODELS = ("SimpleNet", "MultiHeadNet", "TinyResNet", "TrackHitDeepSet")


@pytest.mark.parametrize("model", MODELS)
def test_the_passport_tells_the_truth(workshop, model):
    passport = verify_artifact(workshop.file(model, workshop.variant("aot_gpu", model)))
    toolchain, made = passport.builds[workshop.target].toolchain, passport.made[workshop.target]
    major, minor = torch.cuda.get_device_capability()
    assert toolchain["compute_capability"] == f"{major}.{minor}"
    assert toolchain["cuda"] == torch.version.cuda
    assert toolchain["triton"] == importlib.metadata.version("triton")
    assert made["gpu"] == torch.cuda.get_device_name()
    assert made["driver"] == driver_version()


def test_what_fits_this_gpu_fits_no_other(workshop):
    artifact = workshop.file("SimpleNet", workshop.variant("aot_gpu", "SimpleNet"))
    assert all(finding.fits for finding in examine(artifact))
    other = dataclasses.replace(Host.this([workshop.target]), architectures=("sm_10",))
    with pytest.raises(
        ArtifactError, match=f"for a GPU of {gpus()[0].architecture}, and this machine shows sm_10"
    ):
        verify_artifact(artifact, host=other)


def test_a_program_has_artifacts_for_the_cpu_and_the_gpu(workshop):
    passports = [
        verify_artifact(workshop.file("SimpleNet", workshop.variant(name, "SimpleNet")))
        for name in ("aot", "aot_gpu")
    ]
    programs = {passport.description.origin["program_sha256"] for passport in passports}
    assert len(programs) == 1
    assert passports[0].sha256 != passports[1].sha256


@pytest.mark.parametrize("model", MODELS)
def test_all_weights_of_a_torchscript_artifact_are_on_the_gpu(workshop, model):
    variant = workshop.variant("jit_gpu", model)
    signature = workshop.config.models[model].signature
    with on_gpu("a test"):
        backend = load_artifact(variant, signature, workshop.file(model, variant))
        weights = constants(backend.program)
        assert {tensor.device.type for tensor in weights} == {"cuda"}
        assert max(tensor.numel() for tensor in weights) > 100
