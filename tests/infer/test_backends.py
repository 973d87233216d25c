import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.torch_version import TorchVersion

from soaflow import verification
from soaflow.cpu import Cpu
from soaflow.errors import ArtifactError, ContractError, ModelError
from soaflow.export.archives import described, hand_over, read_records
from soaflow.files import sha256_of_file
from soaflow.infer import backends
from soaflow.infer.variants import Backend, Variant
from soaflow.passport import passport_path, read_passport
from soaflow.soa.contract import describe_contract
from soaflow.soa.layout import Item, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
from soaflow.soa.tensors import view
from soaflow.soa.views import plan_view
from soaflow.threads import SINGLE_THREAD_VARIABLES

ROWS = 200


def copied(file, folder):
    """Copy an artifact with its passport, so that a test may change it."""
    for path in (file, passport_path(file)):
        shutil.copy(path, folder)
    return folder / file.name


def rewritten(path, *, records=None, signature=None):
    """Give an artifact other records or another signature, in the file and its passport alike."""
    passport = read_passport(path)
    description = passport.description
    if signature is not None:
        description = replace(
            description, signature=signature.to_mapping(), contract=describe_contract(signature)
        )
    found = read_records(path.read_bytes())
    archive = described({**found, **(records or {})}, description)
    hand_over(path, archive, description, passport.builds, passport.made)


@pytest.fixture
def jit_artifact(jit_file, tmp_path):
    return copied(jit_file, tmp_path)


@pytest.fixture
def aot_artifact(v3_file, tmp_path):
    return copied(v3_file, tmp_path)


def jit_job(bench, path, batch_size=0):
    variant = Variant("jit", Backend.JIT, batch_size=batch_size)
    return bench.run(load=lambda: backends.jit(path, bench.signature), variant=variant)


def aot_job(bench, path, batch_size=0):
    variant = Variant("aot", Backend.AOT, "x86-64-v3", batch_size=batch_size)
    return bench.run(load=lambda: backends.aot(path, bench.signature), variant=variant)


def columns(bench, rows=ROWS):
    """The input as a job makes it."""
    spec = bench.signature.inputs[0]
    placement = spec.layout.place(rows)
    return view(torch.zeros(placement.blob_bytes, dtype=torch.uint8), plan_view(placement, spec.items))


# Eager


def test_eager_computes_in_the_dtype_and_leaves_the_callers_model_as_it_was(bench):
    model = nn.Linear(3, 1)
    backend = backends.eager(model, "float64")
    (result,) = backend([columns(bench)])
    assert result.dtype == torch.float64
    assert model.weight.dtype == torch.float32


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


@pytest.mark.parametrize("loader", ["jit", pytest.param("aot", marks=pytest.mark.compile)])
def test_check_refuses_what_the_contract_does_not_allow_and_a_call_checks_nothing(bench, request, loader):
    backend = getattr(backends, loader)(request.getfixturevalue(f"{loader}_artifact"), bench.signature)
    reached = []
    backend.program = lambda *arguments: reached.append(arguments) or torch.zeros(ROWS, 1)
    right = columns(bench)
    backend.check([right])
    for wrong, telling in [
        ([right.contiguous()], "strides"),
        ([right.double()], "dtype float64"),
        ([right[:, :2]], "sizes"),
        ([right, right], "takes 1 inputs"),
    ]:
        with pytest.raises(ContractError, match=telling):
            backend.check(wrong)
    assert reached == []
    backend([right.contiguous()])
    assert len(reached) == 1


def test_a_model_of_python_takes_any_tensors(bench):
    backends.eager(nn.Linear(3, 1), "float32").check([columns(bench).contiguous()])


def test_a_changed_byte_is_found_before_anything_is_loaded(bench, jit_artifact, monkeypatch):
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("loaded without verification"))
    content = bytearray(jit_artifact.read_bytes())
    content[len(content) // 2] ^= 1
    jit_artifact.write_bytes(content)
    with pytest.raises(ArtifactError, match="corrupt"):
        backends.jit(jit_artifact, bench.signature)


def test_an_artifact_without_passport_is_refused(bench, jit_artifact):
    passport_path(jit_artifact).unlink()
    with pytest.raises(ArtifactError, match="no passport"):
        backends.jit(jit_artifact, bench.signature)


def test_an_artifact_of_another_kind_is_refused(bench, jit_artifact):
    with pytest.raises(ArtifactError, match="kind 'jit', not 'aot'"):
        backends.aot(jit_artifact, bench.signature)


def test_code_that_cannot_be_loaded_is_refused_though_the_passport_is_its_own(bench, jit_artifact):
    code = next(name for name in read_records(jit_artifact.read_bytes()) if name.endswith(".py"))
    rewritten(jit_artifact, records={code: b"def broken"})
    with pytest.raises(ArtifactError, match=r"Weighted\.float32\.pt cannot be loaded as TorchScript"):
        backends.jit(jit_artifact, bench.signature)


@pytest.mark.compile
def test_a_library_that_cannot_be_loaded_is_refused_though_the_passport_is_its_own(bench, aot_artifact):
    library = next(name for name in read_records(aot_artifact.read_bytes()) if name.endswith(".so"))
    rewritten(aot_artifact, records={library: b"\x7fELF" + bytes(100)})
    with pytest.raises(ArtifactError, match=r"balanced\.pt2 cannot be loaded as an AOTInductor package"):
        backends.aot(aot_artifact, bench.signature)


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
    rewritten(jit_artifact, signature=other)
    with pytest.raises(ArtifactError, match=r"inputs|outputs|output layout"):
        backends.jit(jit_artifact, bench.signature)


def test_a_failing_torchscript_model_is_told_in_one_line(bench, particles, jit_artifact):
    records = read_records(jit_artifact.read_bytes())
    (code,) = (name for name in records if name.endswith(".py"))
    assert b"torch.mul(" in records[code]
    rewritten(jit_artifact, records={code: records[code].replace(b"torch.mul(", b"torch.matmul(")})
    particles(bench.events, ROWS)
    with pytest.raises(ModelError, match=r"particles \[200, 3\] float32.*Dimension out of range") as raised:
        jit_job(bench, jit_artifact)
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


def unpacked_folders():
    """The folders on the disk out of which this process has loaded libraries of packages."""
    library = re.compile(r"(/\S+)/archive/data/aotinductor/\S+\.so$", re.MULTILINE)
    return {Path(folder) for folder in library.findall(Path("/proc/self/maps").read_text())}


@pytest.fixture
def temporary_files(monkeypatch, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.compile
def test_an_aot_package_leaves_no_unpacked_folder_behind(bench, aot_artifact, temporary_files):
    before = unpacked_folders()
    backend = backends.aot(aot_artifact, bench.signature)
    (unpacked,) = unpacked_folders() - before
    assert unpacked.exists()
    del backend
    assert not unpacked.exists()
    assert list(temporary_files.iterdir()) == []


@pytest.mark.compile
@pytest.mark.skipif(TorchVersion(torch.__version__) < "2.13", reason="torch 2.11 unpacks into /tmp")
def test_an_aot_package_is_unpacked_where_temporary_files_are(bench, aot_artifact, temporary_files):
    before = unpacked_folders()
    backend = backends.aot(aot_artifact, bench.signature)
    (unpacked,) = unpacked_folders() - before
    assert unpacked.is_relative_to(temporary_files)
    del backend


ALONE = """
import sys
from soaflow.infer import backends
from soaflow.infer.job import run_job
from soaflow.infer.variants import Backend, Variant
from soaflow.passport import read_passport
from soaflow.soa.signature import Signature

artifact, events, folder = sys.argv[1:]
signature = Signature.from_mapping(read_passport(artifact).description.signature)
proof = run_job(
    lambda: backends.LOADER(artifact, signature), signature, events, f"{folder}/p.h5", f"{folder}/p.json",
    variant=Variant("alone", Backend("LOADER"), TARGET, batch_size=64), attributes={},
)
assert proof.threads_seen == 1, proof
assert proof.other_threads_cpu_seconds < 0.001, proof  # two clocks are read one after the other
needless = {"torch._inductor", "matplotlib", "jsonschema", "uproot", "yaml", "soaflow.export"}
needless |= {f"soaflow.{gpu}" for gpu in ("cuda_driver", "gpu_claims", "gpu_job", "nvml")}
needless |= {f"soaflow.infer.{gpu}" for gpu in ("accelerators", "device_place", "device_route", "host_end")}
assert not needless & set(sys.modules), needless & set(sys.modules)
"""


@pytest.mark.parametrize("loader", ["jit", pytest.param("aot", marks=pytest.mark.compile)])
def test_a_job_in_a_process_of_its_own_has_one_thread_and_imports_nothing_needless(
    bench, particles, request, loader, tmp_path
):
    artifact = request.getfixturevalue(f"{loader}_artifact")
    particles(bench.events, ROWS)
    target = "x86-64-v3" if loader == "aot" else "native"
    code = ALONE.replace("LOADER", loader).replace("TARGET", repr(target))
    subprocess.run(
        [sys.executable, "-c", code, str(artifact), str(bench.events), str(tmp_path)],
        check=True,
        env={**os.environ, **SINGLE_THREAD_VARIABLES},
    )


# Fat artifacts


def as_if_on(monkeypatch, level):
    cpu = Cpu("A CPU", "x86_64", level, frozenset())
    monkeypatch.setattr(verification, "this_cpu", lambda: cpu)


@pytest.mark.compile
@pytest.mark.parametrize(("level", "target"), [(3, "x86-64-v3"), (4, "x86-64-v4")])
def test_of_a_fat_artifact_the_best_target_alone_is_loaded(
    bench, particles, fat_file, level, target, monkeypatch
):
    as_if_on(monkeypatch, level)
    before = unpacked_folders()
    backend = backends.aot(fat_file, bench.signature)
    (unpacked,) = unpacked_folders() - before
    (library,) = unpacked.rglob("*.so")
    assert library.parent.name == target
    particles(bench.events, ROWS)
    bench.run(load=lambda: backend, variant=Variant("aot", Backend.AOT, "fat"))
    np.testing.assert_allclose(bench.written(), bench.expected(), rtol=1e-6)


@pytest.mark.compile
def test_a_cpu_below_all_targets_of_a_fat_artifact_loads_none(bench, fat_file, monkeypatch):
    monkeypatch.setattr(backends, "load_package", lambda *_: pytest.fail("loaded"))
    as_if_on(monkeypatch, 2)
    with pytest.raises(
        ArtifactError, match=r"targets x86-64-v3, x86-64-v4, and this CPU is A CPU \(x86-64-v2"
    ):
        backends.aot(fat_file, bench.signature)


@pytest.mark.compile
def test_what_does_not_fit_is_loaded_if_it_is_accepted_by_name(bench, v3_file, monkeypatch):
    as_if_on(monkeypatch, 2)
    with pytest.raises(ArtifactError, match=r"lacks: build it for a lower target, or accept 'cpu' by name"):
        backends.aot(v3_file, bench.signature)
    backends.aot(v3_file, bench.signature, accept=["cpu"])
    with pytest.raises(ArtifactError, match="'sha256' cannot be accepted"):
        backends.aot(v3_file, bench.signature, accept=["sha256"])
