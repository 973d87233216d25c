"""What the checks before a model's code runs cost: of one call's tensors, and of an artifact's file.

A job checks two calls, so the first figure counts twice a job and not once a batch. The second grows with
the file, whose SHA-256 takes nearly all of it; `load_seconds` is what torch needs to load it afterwards.
"""

import time
import warnings

import pytest
import torch
from torch import nn

from soaflow.export.jit import write_jit
from soaflow.soa.calls import check_inputs
from soaflow.soa.layout import Item, Layout
from soaflow.soa.signature import RowRange, Signature, TensorInput, TensorOutput
from soaflow.soa.tensors import view
from soaflow.soa.views import plan_view
from soaflow.verification import verify_artifact

PARTICLES = Layout.of(*(Item(name, "float32") for name in ("pt", "eta", "phi")))
ENERGY = Layout.of(Item("energy", "float32"))


def signature_of(inputs: int) -> Signature:
    specs = [TensorInput("particles", "particles", PARTICLES, PARTICLES.names)]
    specs += [
        TensorInput(f"whole{index}", f"whole{index}", PARTICLES, PARTICLES.names, RowRange.WHOLE)
        for index in range(inputs - 1)
    ]
    return Signature(tuple(specs), (TensorOutput("energy", ("energy",)),), ENERGY)


@pytest.mark.parametrize("inputs", [1, 5])
def test_check_of_a_call(benchmark, inputs):
    signature, placement = signature_of(inputs), PARTICLES.place(1000)
    blob = torch.zeros(placement.blob_bytes, dtype=torch.uint8)
    tensors = [view(blob, plan_view(placement, PARTICLES.names)) for _ in range(inputs)]
    benchmark(check_inputs, signature, tensors)


@pytest.mark.parametrize("megabytes", [0.5, 50])
def test_verification_of_an_artifact(benchmark, tmp_path, megabytes, full_size):
    width = int((megabytes * 1e6 / 4 if full_size else 1000) ** 0.5)
    model = nn.Sequential(nn.Linear(3, width), nn.Linear(width, width), nn.Linear(width, 1))
    path = tmp_path / "Wide.float32.pt"
    write_jit(model, signature_of(1), path, model_name="Wide", dtype="float32", origin={})
    passport = benchmark(verify_artifact, path)
    assert passport.size == path.stat().st_size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        started = time.perf_counter()
        torch.jit.load(path)
    benchmark.extra_info["load_seconds"] = time.perf_counter() - started
