import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from soaflow.errors import ArtifactError, ContractError, ProofError
from soaflow.files import sha256_of_file
from soaflow.infer import backends
from soaflow.infer.loading import load_backend
from soaflow.infer.proof import read_proof
from soaflow.infer.variants import Backend, Variant
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import RowRange, Signature, TensorInput, TensorOutput
from soaflow.soa.tensors import row_major
from soaflow.threads import SINGLE_THREAD_VARIABLES

ROWS = 200
VALUES = 3
"""Numbers in a row of the input."""


class Weighted(nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([1.0, 10.0, 100.0]))

    def forward(self, particles):
        return (particles * self.weights).sum(dim=1, keepdim=True)


@pytest.fixture(scope="session")
def onnx_artifact(tmp_path_factory):
    pytest.importorskip("onnx", reason="there is no package onnx, which the tests for a GPU do without")
    from soaflow.export.onnx import write_onnx  # noqa: PLC0415  it needs that package

    layout = Layout.of(
        Item("number", "int32"),
        Item("pt", "float32", unit="GeV"),
        Item("eta", "float32"),
        Item("phi", "float32"),
        Item("mask", "uint8", ItemKind.EIGEN, (3,)),
    )
    signature = Signature(
        (TensorInput("particles", "particles", layout, ("pt", "eta", "phi")),),
        (TensorOutput("energy", ("energy",)),),
        Layout.of(Item("energy", "float32")),
    )
    path = tmp_path_factory.mktemp("onnx") / "Weighted.float32.onnx"
    write_onnx(Weighted().eval(), signature, path, model_name="Weighted", dtype="float32", origin={})
    return path


def job(bench, path, batch_size=0, plant=lambda backend: backend, *, without_torch=False):
    variant = Variant("onnx", Backend.ONNX, batch_size=batch_size)
    return bench.run(
        load=lambda: plant(backends.onnx(path, bench.signature, without_torch=without_torch)), variant=variant
    )


def test_without_torch_the_bytes_are_the_same(bench, particles, onnx_artifact):
    particles(bench.events, ROWS)
    written = []
    for without_torch in (True, False):
        job(bench, onnx_artifact, 64, without_torch=without_torch)
        written.append(bench.predictions.read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("without_torch", [False, True])
@pytest.mark.parametrize("batch_size", [0, 1, 7, 64])
def test_a_job_says_how_much_its_backend_copied(bench, particles, onnx_artifact, batch_size, without_torch):
    particles(bench.events, ROWS)
    proof = job(bench, onnx_artifact, batch_size, without_torch=without_torch)
    np.testing.assert_allclose(bench.written(), bench.expected(), rtol=1e-6)
    rows = ROWS + proof.warm_up_calls * (batch_size or ROWS)
    (seen,) = proof.inputs
    assert proof.bytes_copied_in == rows * VALUES * 4
    assert (seen.bytes_declared, seen.bytes_copied_by_backend) == (proof.bytes_copied_in,) * 2
    assert (seen.bytes_copied, seen.tensors_misplaced) == (0, 0)
    assert seen.tensors == proof.calls_watched == proof.batches + proof.warm_up_calls
    assert seen.highest_offset > seen.lowest_offset > 0
    assert proof.model_sha256 == sha256_of_file(onnx_artifact)
    assert f"{proof.bytes_copied_in} bytes copied on the way in by onnx, as declared" in proof.describe()
    assert read_proof(bench.proof) == proof


def test_a_job_without_rows(bench, particles, onnx_artifact):
    particles(bench.events, 0)
    assert job(bench, onnx_artifact).bytes_copied_in == 0


def says_nothing(backend):
    backend.copies = ()
    return backend


def copies_before_it_is_seen(backend):
    run = backend.run
    backend.run = lambda inputs: run([row_major(tensor) for tensor in inputs])
    return backend


def gives_others_rows(backend):
    run = backend.run
    backend.run = lambda inputs: run(
        [tensor.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset() + 1) for tensor in inputs]
    )
    return backend


@pytest.mark.parametrize(
    ("plant", "telling"),
    [
        (says_nothing, r"bytes of input 'particles' were not where its collection's blob is"),
        (copies_before_it_is_seen, r"bytes of input 'particles' were not where its collection's blob is"),
        (gives_others_rows, r"tensors of input 'particles' were not where its items and the rows"),
    ],
)
def test_a_copy_that_is_not_as_declared_fails_the_job(bench, particles, onnx_artifact, plant, telling):
    particles(bench.events, ROWS)
    with pytest.raises(ProofError, match=telling):
        job(bench, onnx_artifact, plant=plant)
    assert bench.leftovers() == []


def test_a_backend_that_says_it_copies_and_does_not_is_told(bench, particles):
    """A model that takes strided tensors, in a backend that says otherwise."""
    particles(bench.events, ROWS)
    model = Weighted().eval()

    def load():
        backend = backends.CopyingBackend(model, lambda _: None, "", bench.signature)
        backend.copy = lambda inputs: inputs
        return backend

    with pytest.raises(ProofError, match=r"^.* 0 bytes of input 'particles' were copied by the backend"):
        bench.run(load=load)


def test_only_what_is_not_row_major_already_is_copied():
    layout = Layout.of(
        Item("a", "float32"),
        Item("b", "float32"),
        Item("v", "float32", ItemKind.EIGEN, (3,)),
        Item("one", "float32", ItemKind.EIGEN, (1,)),
        Item("s", "float32", ItemKind.SCALAR),
    )
    inputs = (
        TensorInput("pair", "c", layout, ("a", "b")),
        TensorInput("column", "c", layout, ("a",)),
        TensorInput("vector", "c", layout, ("v",)),
        TensorInput("short", "c", layout, ("one",)),
        TensorInput("scalar", "c", layout, ("s",), rows=RowRange.WHOLE),
    )
    output = (TensorOutput("y", ("y",)),)
    signature = Signature(inputs, output, Layout.of(Item("y", "float32")))
    assert backends.copied_inputs(signature) == ("pair", "vector", "scalar")


def test_a_call_that_the_contract_does_not_allow_is_refused(bench, onnx_artifact):
    backend = backends.onnx(onnx_artifact, bench.signature)
    with pytest.raises(ContractError):
        backend.check([torch.zeros(8, 3)])


def test_a_variant_loads_it(bench, onnx_artifact):
    backend = load_backend(
        Variant("onnx", Backend.ONNX),
        bench.signature,
        artifact=onnx_artifact,
        weights=None,
        class_path="",
        arguments={},
        seed=0,
    )
    assert backend.copies == ("particles",)
    assert backend.source_sha256 == sha256_of_file(onnx_artifact)


def test_an_artifact_of_another_kind_is_refused(bench, jit_file, onnx_artifact):
    with pytest.raises(ArtifactError, match="is of kind 'jit', not 'onnx'"):
        backends.onnx(jit_file, bench.signature)
    with pytest.raises(ArtifactError, match="is of kind 'onnx', not 'jit'"):
        backends.jit(onnx_artifact, bench.signature)


def infer(bench, onnx_artifact, *more, home):
    return subprocess.run(
        [sys.executable, "-m", "soaflow", "infer", onnx_artifact, bench.events, bench.predictions, *more],
        env={**os.environ, **SINGLE_THREAD_VARIABLES, "HOME": str(home), "ORT_DISABLE_TELEMETRY": "0"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_process_of_its_own_has_one_thread_and_writes_nothing_else(
    bench, particles, onnx_artifact, tmp_path
):
    particles(bench.events, ROWS)
    home = tmp_path / "home"
    home.mkdir()
    done = infer(bench, onnx_artifact, "--batch-size", "64", home=home)
    assert done.returncode == 0, done.stderr
    proof = read_proof(bench.proof)
    assert (proof.backend, proof.threads_seen) == ("onnx", 1)
    assert re.search(r"bytes copied on the way in by onnx, as declared, 1 thread", done.stdout)
    np.testing.assert_allclose(bench.written(), bench.expected(), rtol=1e-6)
    assert not list(home.iterdir())


def test_no_other_device_is_taken(bench, particles, onnx_artifact, tmp_path):
    particles(bench.events, ROWS)
    done = infer(bench, onnx_artifact, "--device", "cuda", home=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "backend onnx cannot run" in done.stderr
