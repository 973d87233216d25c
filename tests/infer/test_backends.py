import os
import subprocess
import sys
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from soaflow import passport
from soaflow.errors import ArtifactError, ContractError, ModelError
from soaflow.files import sha256_of_file
from soaflow.infer import backends
from soaflow.infer.variants import Backend, Variant
from soaflow.soa.contract import check_inputs, describe_contract
from soaflow.soa.layout import Item, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
from soaflow.soa.tensors import view
from soaflow.soa.views import plan_view
from soaflow.threads import SINGLE_THREAD_VARIABLES

ROWS = 200  # whose columns are 224 floats apart, the stride that the artifact below is compiled for

COMPILE = """
import sys, torch, torch._inductor

class Weighted(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.tensor([[1.0], [10.0], [100.0]]))

    def forward(self, particles):
        return (particles + 0) @ self.weights

example = torch.zeros(3 * 224).as_strided((64, 3), (1, 224))
rows = {0: torch.export.Dim("rows", min=1, max=1 << 30)}
program = torch.export.export(Weighted(), (example,), dynamic_shapes=(rows,))
torch._inductor.aoti_compile_and_package(
    program, package_path=sys.argv[1], inductor_configs={"cpp.threads": 1}
)
"""


class Weighted(nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([[1.0], [10.0], [100.0]]))

    def forward(self, particles):
        return particles @ self.weights


def add_passport(path, signature, kind):
    passport.write_passport(
        path,
        passport.Passport(
            kind=kind,
            model="Weighted",
            dtype="float32",
            target="native" if kind == passport.AOT else "",
            sha256=sha256_of_file(path),
            size=path.stat().st_size,
            signature=signature.to_mapping(),
            contract=describe_contract(signature),
            origin={},
            toolchain={},
            options={},
            checks={},
        ),
    )


@pytest.fixture
def jit_artifact(tmp_path, bench):
    path = tmp_path / "Weighted.float32.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.freeze(torch.jit.script(Weighted().eval())), str(path))
    add_passport(path, bench.signature, passport.JIT)
    return path


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    path = tmp_path_factory.mktemp("compiled") / "Weighted.float32.native.pt2"
    subprocess.run([sys.executable, "-c", COMPILE, str(path)], check=True, capture_output=True)
    return path


@pytest.fixture
def aot_artifact(compiled, bench, tmp_path):
    path = tmp_path / compiled.name
    path.write_bytes(compiled.read_bytes())
    add_passport(path, bench.signature, passport.AOT)
    return path


def jit_job(bench, path, batch_size=0):
    variant = Variant("jit", Backend.JIT, batch_size=batch_size)
    return bench.run(load=lambda: backends.jit(path, bench.signature), variant=variant)


def aot_job(bench, path, batch_size=0):
    variant = Variant("aot", Backend.AOT, batch_size=batch_size)
    return bench.run(load=lambda: backends.aot(path, bench.signature), variant=variant)


def columns(bench, rows=ROWS):
    """The input as a job makes it."""
    spec = bench.signature.inputs[0]
    placement = spec.layout.place(rows)
    return view(torch.zeros(placement.blob_bytes, dtype=torch.uint8), plan_view(placement, spec.items))


# Eager


def test_eager_computes_in_the_dtype_and_leaves_the_callers_model_as_it_was(bench):
    model = Weighted()
    backend = backends.eager(model, "float64")
    (result,) = backend([columns(bench)])
    assert result.dtype == torch.float64
    assert model.weights.dtype == torch.float32


def test_eager_runs_in_evaluation_mode(bench):
    backend = backends.eager(nn.Sequential(nn.Dropout(0.5)).train(), "float32")
    ones = torch.ones_like(columns(bench))
    assert torch.equal(backend([ones])[0], ones)


# TorchScript


@pytest.mark.parametrize("batch_size", [0, 64])
def test_a_torchscript_job(bench, particles, jit_artifact, batch_size):
    particles(bench.events, ROWS)
    proof = jit_job(bench, jit_artifact, batch_size)
    np.testing.assert_allclose(bench.written(), bench.expected(), rtol=1e-6)
    assert (proof.backend, proof.bytes_copied_in) == ("jit", 0)
    assert proof.model_sha256 == sha256_of_file(jit_artifact)
    assert proof.calls_watched == proof.batches + proof.warm_up_calls


def test_row_major_inputs_are_refused_before_the_artifact_runs(bench, jit_artifact):
    backend = backends.jit(jit_artifact, bench.signature)
    backend.program = lambda *_: pytest.fail("the artifact ran")
    with pytest.raises(ContractError, match="strides"):
        backend([columns(bench).contiguous()])


def test_a_changed_byte_is_found_before_anything_is_loaded(bench, jit_artifact, monkeypatch):
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("loaded without verification"))
    content = bytearray(jit_artifact.read_bytes())
    content[len(content) // 2] ^= 1
    jit_artifact.write_bytes(content)
    with pytest.raises(ArtifactError, match="corrupt"):
        backends.jit(jit_artifact, bench.signature)


def test_an_artifact_without_passport_is_refused(bench, jit_artifact):
    passport.passport_path(jit_artifact).unlink()
    with pytest.raises(ArtifactError, match="no passport"):
        backends.jit(jit_artifact, bench.signature)


def test_an_artifact_of_another_kind_is_refused(bench, jit_artifact):
    with pytest.raises(ArtifactError, match="kind 'jit', not 'aot'"):
        backends.aot(jit_artifact, bench.signature)


def test_bytes_that_are_no_artifact_are_refused_though_the_passport_is_theirs(bench, tmp_path):
    path = tmp_path / "junk"
    path.write_bytes(b"junk" * 100)
    for kind, load in ((passport.JIT, backends.jit), (passport.AOT, backends.aot)):
        add_passport(path, bench.signature, kind)
        with pytest.raises(ArtifactError, match="cannot be loaded"):
            load(path, bench.signature)


def other_signatures(signature):
    (spec,) = signature.inputs
    fewer = TensorInput(spec.name, spec.collection, spec.layout, ("pt", "eta"))
    renamed = TensorInput("jets", spec.collection, spec.layout, spec.items)
    second = TensorOutput("second", ("second",))
    wider = Layout.of(Item("energy", "float32"), Item("second", "float32"))
    double = Layout.of(Item("energy", "float64"))
    return [
        (Signature((fewer,), signature.outputs, signature.output_layout), "inputs 'particles'"),
        (Signature((renamed,), signature.outputs, signature.output_layout), "inputs 'jets'"),
        (Signature((spec, renamed), signature.outputs, signature.output_layout), "inputs 'jets'"),
        (Signature((spec,), (*signature.outputs, second), wider), "outputs 'second'"),
        (Signature((spec,), signature.outputs, double), "output layout"),
    ]


@pytest.mark.parametrize("number", range(5))
def test_an_artifact_of_another_signature_is_refused(bench, jit_artifact, number):
    other, telling = other_signatures(bench.signature)[number]
    with pytest.raises(ArtifactError, match=telling):
        backends.jit(jit_artifact, other)
    add_passport(jit_artifact, other, passport.JIT)
    with pytest.raises(ArtifactError, match=r"inputs|outputs|output layout"):
        backends.jit(jit_artifact, bench.signature)


def test_a_refusal_of_the_contract_ends_a_job_as_such(bench, particles):
    class Late(backends.Backend):
        def __call__(self, inputs):
            return super().__call__([tensor.contiguous() for tensor in inputs])

    def load():
        return Late(lambda x: x[:, :1], partial(check_inputs, bench.signature))

    particles(bench.events, ROWS)
    with pytest.raises(ContractError, match="input 'particles' has strides"):
        bench.run(load=load)
    assert bench.leftovers() == []


def test_a_failing_torchscript_model_is_told_in_one_line(bench, particles, tmp_path):
    path = tmp_path / "narrow.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(nn.Linear(2, 1).eval()), str(path))
    add_passport(path, bench.signature, passport.JIT)
    particles(bench.events, ROWS)
    with pytest.raises(
        ModelError, match=r"particles \[200, 3\] float32.*shapes cannot be multiplied"
    ) as raised:
        jit_job(bench, path)
    assert "\n" not in str(raised.value)


# AOTInductor


@pytest.mark.compile
@pytest.mark.parametrize("batch_size", [0, 64])
def test_an_aot_job(bench, particles, aot_artifact, batch_size):
    particles(bench.events, ROWS)
    proof = aot_job(bench, aot_artifact, batch_size)
    np.testing.assert_allclose(bench.written(), bench.expected(), rtol=1e-6)
    assert (proof.backend, proof.bytes_copied_in, proof.threads_seen) == ("aot", 0, 1)
    assert proof.model_sha256 == sha256_of_file(aot_artifact)
    assert proof.calls_watched == proof.batches + proof.warm_up_calls
    (seen,) = proof.inputs
    assert (seen.lowest_offset, seen.highest_offset) == (896, 3 * 896 + 4 * ROWS)


@pytest.mark.compile
def test_an_aot_package_leaves_no_unpacked_folder_behind(bench, aot_artifact, monkeypatch, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    backend = backends.aot(aot_artifact, bench.signature)
    assert list(folder.iterdir())
    del backend
    assert list(folder.iterdir()) == []


ALONE = """
import sys
from soaflow.infer import backends
from soaflow.infer.job import run_job
from soaflow.infer.variants import Backend, Variant
from soaflow.passport import read_passport
from soaflow.soa.signature import Signature

artifact, events, folder = sys.argv[1:]
signature = Signature.from_mapping(read_passport(artifact).signature)
proof = run_job(
    lambda: backends.LOADER(artifact, signature), signature, events, f"{folder}/p.h5", f"{folder}/p.json",
    variant=Variant("alone", Backend("LOADER"), batch_size=64), attributes={},
)
assert proof.threads_seen == 1, proof
assert proof.other_threads_cpu_seconds == 0, proof
assert "torch._inductor" not in sys.modules
assert "matplotlib" not in sys.modules
"""


@pytest.mark.parametrize("loader", ["jit", pytest.param("aot", marks=pytest.mark.compile)])
def test_a_job_in_a_process_of_its_own_has_one_thread_and_imports_no_compiler(
    bench, particles, request, loader, tmp_path
):
    artifact = request.getfixturevalue(f"{loader}_artifact")
    particles(bench.events, ROWS)
    code = ALONE.replace("LOADER", loader)
    subprocess.run(
        [sys.executable, "-c", code, str(artifact), str(bench.events), str(tmp_path)],
        check=True,
        env={**os.environ, **SINGLE_THREAD_VARIABLES},
    )
