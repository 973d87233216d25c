"""The way of a job's rows through a real GPU: bits, bytes, pages, memory and what is left behind.

All that decides is tested without one in `tests/infer`; this is for what only a driver can tell.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from soaflow.cuda_driver import CudaDriver
from soaflow.files import sha256_of_file
from soaflow.infer.accelerators import CudaAccelerator
from soaflow.infer.backends import eager
from soaflow.infer.device_place import OnDevice
from soaflow.infer.job import run_job
from soaflow.infer.variants import Backend, Device, Variant
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
from soaflow.soa.storage import EVENTS, writing

pytestmark = pytest.mark.gpu

ROWS = 100_003
PARTICLES = Layout.of(
    Item("number", "int32"),
    Item("scale", "float32", ItemKind.SCALAR),
    *(Item(name, "float32") for name in ("pt", "eta", "phi")),
    Item("mask", "uint8", ItemKind.EIGEN, (3,)),
)
SIGNATURE = Signature(
    (
        TensorInput("particles", "particles", PARTICLES, ("pt", "eta", "phi")),
        TensorInput("scale", "particles", PARTICLES, ("scale",)),
        TensorInput("mask", "particles", PARTICLES, ("mask",)),
    ),
    (TensorOutput("energy", ("energy",)), TensorOutput("count", ("count",))),
    Layout.of(Item("energy", "float32"), Item("count", "int16")),
)


class Masked(nn.Module):
    """Sums of small integers, so every order gives the same bits; more rows than held ask for a petabyte."""

    def __init__(self, rows_held=ROWS):
        super().__init__()
        self.rows_held = rows_held

    def forward(self, particles, scale, mask):
        if len(particles) > self.rows_held:
            particles.new_empty(1 << 50)
        energy = (particles * mask).sum(dim=1, keepdim=True) * scale
        return energy, mask.long().sum(dim=1, keepdim=True)


@pytest.fixture
def gpu_job(tmp_path):
    """A function that runs a job on a GPU, and returns its proof and the digest of its predictions."""
    random = np.random.default_rng(1)
    with writing(tmp_path / "events.h5", EVENTS, {"particles": PARTICLES.place(ROWS)}, {}) as file:
        file.write("particles", "scale", 0.5)
        file.write("particles", "mask", random.integers(0, 2, (ROWS, 3), np.uint8))
        for name in ("pt", "eta", "phi"):
            file.write("particles", name, random.integers(0, 1024, ROWS).astype(np.float32))

    def run(model=None, *, device=Device.CUDA, batch_size=1000, chunk_rows=7000, graphs=False):
        place = None
        if device is Device.CUDA:
            place = OnDevice(CudaAccelerator(), chunk_bytes=chunk_rows * 19)
        variant = Variant("v", Backend.EAGER, device=device, batch_size=batch_size, cuda_graphs=graphs)
        proof = run_job(
            lambda: eager(model or Masked(), "float32", device),
            SIGNATURE,
            tmp_path / "events.h5",
            tmp_path / "predictions.h5",
            tmp_path / "predictions.proof.json",
            variant=variant,
            attributes={},
            place=place,
        )
        return proof, sha256_of_file(tmp_path / "predictions.h5")

    return run


@pytest.mark.parametrize(("batch_size", "chunk_rows"), [(0, 1), (1000, 1000), (1000, 7000), (977, 1 << 20)])
def test_the_bytes_are_those_of_the_cpu_and_each_crosses_once(gpu_job, batch_size, chunk_rows):
    _, expected = gpu_job(device=Device.CPU, batch_size=batch_size)
    proof, found = gpu_job(batch_size=batch_size, chunk_rows=chunk_rows)
    assert found == expected
    assert proof.bytes_transferred_in == proof.collections[0].blob_bytes
    assert proof.bytes_transferred_out == proof.output_bytes
    assert 0 < proof.device_seconds <= proof.wall_seconds
    assert proof.batches == len(proof.batch_seconds)


@pytest.mark.parametrize("locked", ["no file", "read-only pages of files", "all that can be"])
def test_locked_pages_and_staged_rows_give_the_same_bytes(gpu_job, monkeypatch, tmp_path, locked):
    _, expected = gpu_job(device=Device.CPU)
    lock = CudaDriver.lock_pages

    def refusing(self, address, size, *, read_only):
        files = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path) in line]
        bounds = [[int(bound, 16) for bound in line.split()[0].split("-")] for line in files]
        of_files = any(begin <= address < end for begin, end in bounds)
        if of_files and (locked == "no file" or (locked == "read-only pages of files" and not read_only)):
            return "refused by the test"
        return lock(self, address, size, read_only=read_only)

    monkeypatch.setattr(CudaDriver, "lock_pages", refusing)
    proof, found = gpu_job()
    assert found == expected
    if locked == "no file":
        assert proof.bytes_staged == proof.bytes_transferred_in + proof.bytes_transferred_out


def test_torch_is_left_as_it_was(gpu_job):
    def state():
        return (
            torch.cuda.current_device(),
            torch.cuda.current_stream(),
            torch.cuda.is_current_stream_capturing(),
            torch.backends.cuda.matmul.allow_tf32,
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
        )

    torch.cuda.synchronize()
    before = state()
    gpu_job()
    assert state() == before


def test_too_little_memory_is_answered_by_smaller_chunks(gpu_job):
    _, expected = gpu_job(device=Device.CPU, batch_size=0)
    proof, found = gpu_job(Masked(rows_held=30_000), batch_size=0)
    assert found == expected
    assert (proof.chunk_rows_refused, proof.chunk_rows) == ((ROWS, 50_002), 25_001)


def test_captured_calls_give_the_same_bytes(gpu_job):
    _, expected = gpu_job(device=Device.CPU)
    proof, found = gpu_job(graphs=True)
    assert found == expected
    assert proof.batches_replayed == 12 * 7


def test_a_second_job_locks_what_the_first_one_locked(gpu_job):
    (first, expected), (second, found) = gpu_job(), gpu_job()
    assert found == expected
    assert second.collections[0].crossing == first.collections[0].crossing
    assert second.output_crossing == first.output_crossing
