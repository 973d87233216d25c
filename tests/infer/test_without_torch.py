"""Compiled artifacts through libtorch's C interface: bits, proof and errors of torch's own loader."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from soaflow.archives import packed_library
from soaflow.errors import ArtifactError, ModelError, ProofError
from soaflow.infer import backends, process
from soaflow.infer.variants import Backend, Variant
from soaflow.models import libtorch
from soaflow.models.libtorch import LibTorchPackage, LibTorchTensor, libtorch_tensors
from soaflow.models.packages import MODEL_IN_PACKAGE
from soaflow.passport import read_passport
from soaflow.soa import arrays
from soaflow.soa.arrays import ArrayTensor
from soaflow.soa.layout import Item, Layout
from soaflow.soa.signature import Signature, TensorOutput
from soaflow.threads import SINGLE_THREAD_VARIABLES

ROWS = 200


def job(bench, path, batch_size=0, *, without_torch=True, plant=lambda backend: backend):
    """Run an artifact, and return the proof and the bytes of the predictions."""
    variant = Variant("aot", Backend.AOT, "x86-64-v3", batch_size=batch_size)
    proof = bench.run(
        load=lambda: plant(backends.aot(path, bench.signature, without_torch=without_torch)), variant=variant
    )
    return proof, bench.predictions.read_bytes()


# Tensors of libtorch


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int16", "int32", "uint64", "float16", "float32", "float64"]
)
@pytest.mark.parametrize("shape", [(), (7,), (5, 3), (4, 2, 3), (0, 3)])
def test_a_view_is_where_its_tensor_is_and_libtorch_says_so(dtype, shape):
    array = np.arange(np.prod(shape, dtype=int), dtype=np.int64).reshape(shape).astype(dtype)
    for tensor in (ArrayTensor(array), ArrayTensor(array.T), torch.from_numpy(array)):
        view = LibTorchTensor.viewing(tensor)
        for ask in ("data_ptr", "dim", "numel", "element_size", "is_floating_point", "is_complex"):
            if ask != "data_ptr" or array.size:
                assert getattr(view, ask)() == getattr(tensor, ask)(), ask
        assert (view.shape, view.stride()) == (tuple(tensor.shape), tuple(tensor.stride()))
        assert view.dtype == dtype
        found = view.array()
        assert np.array_equal(found, np.asarray(tensor.numpy()))
        assert np.shares_memory(found, array) == bool(array.size)


def test_bfloat16_comes_as_float32():
    values = torch.tensor([1.5, -2.0, float("inf"), float("nan"), 3e38], dtype=torch.bfloat16)
    found = LibTorchTensor.viewing(values)
    assert (found.dtype, found.element_size()) == ("bfloat16", 2)
    np.testing.assert_array_equal(found.array(), values.float().numpy())


def test_an_array_outlives_the_tensor_that_it_is_of():
    array = np.arange(1000.0)
    found = LibTorchTensor.viewing(ArrayTensor(array)).array()
    del array
    np.testing.assert_array_equal(found, np.arange(1000.0))


def test_a_dtype_that_libtorch_lacks_is_an_error_and_no_view():
    with pytest.raises(KeyError, match="complex64"):
        LibTorchTensor.viewing(ArrayTensor(np.zeros(3, np.complex64)))


def test_a_tensor_that_a_call_has_taken_is_no_more():
    view = LibTorchTensor.viewing(ArrayTensor(np.zeros(3)))
    libtorch._libtorch().delete(view.taken())
    for ask in (view.data_ptr, view.stride, view.numel, view.taken, view.array):
        with pytest.raises(ValueError, match="was given to a call"):
            ask()


# Jobs


@pytest.mark.compile
@pytest.mark.parametrize("batch_size", [0, 1, 7, 64, ROWS])
def test_predictions_and_proof_are_those_of_torchs_own_loader(bench, particles, v3_file, batch_size):
    particles(bench.events, ROWS)
    (proof, written), (other, expected) = (
        job(bench, v3_file, batch_size, without_torch=without) for without in (True, False)
    )
    assert written == expected
    for key in ("inputs", "warm_up_calls", "calls_watched", "batches", "model_sha256", "torch_version"):
        assert getattr(proof, key) == getattr(other, key), key
    assert (proof.bytes_copied_in, proof.threads_seen) == (0, 1)
    (seen,) = proof.inputs
    assert (seen.lowest_offset, seen.highest_offset) == (896, 3 * 896 + 4 * ROWS)


class Counting(nn.Module):
    """Integers, which an artifact returns in memory of its own; it stores floating outputs alone."""

    def forward(self, particles):
        return (particles > 0.5).sum(dim=1, keepdim=True).to(torch.int64)


@pytest.fixture(scope="session")
def counted(v3_file):
    """The signature of `Counting`: the inputs of the other artifact, and integers."""
    inputs = Signature.from_mapping(read_passport(v3_file).description.signature).inputs
    return Signature(inputs, (TensorOutput("energy", ("energy",)),), Layout.of(Item("energy", "int32")))


@pytest.fixture(scope="session")
def counting_file(export_and_compile, counted):
    return export_and_compile(Counting(), counted, "x86-64-v3")


@pytest.mark.compile
def test_outputs_that_are_returned_are_stored_as_torchs_are(bench, particles, counting_file, counted):
    bench = dataclasses.replace(bench, signature=counted)
    particles(bench.events, ROWS)
    columns = np.array([bench.events_column(name) for name in ("pt", "eta", "phi")])
    for batch_size in (0, 1, 64):
        (proof, written), (_, expected) = (
            job(bench, counting_file, batch_size, without_torch=without) for without in (True, False)
        )
        assert written == expected
        assert proof.bytes_copied_in == 0
        np.testing.assert_array_equal(bench.written(), (columns > 0.5).sum(axis=0))


@pytest.mark.compile
def test_the_outputs_of_a_call_are_torchs(bench, v3_file):
    loaded, expected = (backends.aot(v3_file, bench.signature, without_torch=it) for it in (True, False))
    planes = np.random.default_rng(1).random((3, 320), np.float32)
    for begin, rows in [(0, 1), (5, 64), (33, 287)]:
        columns = planes.T[begin : begin + rows]
        (found,), (wanted,) = loaded([ArrayTensor(columns)]), expected([torch.from_numpy(columns)])
        assert np.array_equal(found.numpy(), wanted.numpy())
        loaded.check([ArrayTensor(columns)])


@pytest.mark.compile
def test_a_view_of_other_rows_on_the_way_into_libtorch_is_caught(bench, particles, v3_file):
    """The planted fault: what is handed over is not what the job made. The witness asks libtorch itself."""

    def plant(backend):
        backend._given = lambda tensors: libtorch_tensors(
            [ArrayTensor(np.roll(tensor.numpy(), 0, axis=0)) for tensor in tensors]
        )
        return backend

    particles(bench.events, ROWS)
    with pytest.raises(
        ProofError, match="bytes of input 'particles' were not where its collection's blob is"
    ):
        job(bench, v3_file, plant=plant)
    assert bench.leftovers() == []


@pytest.mark.compile
def test_views_that_are_planned_wrongly_are_caught(bench, particles, v3_file, monkeypatch):
    view = arrays.view

    def shifted(blob, plan):
        wrong = 0 if plan.sizes[1] == 1 else 4 * plan.strides[1]  # the outputs stay as they are
        return view(blob, dataclasses.replace(plan, byte_offset=plan.byte_offset - wrong))

    monkeypatch.setattr(arrays, "view", shifted)
    particles(bench.events, ROWS)
    with pytest.raises(ProofError, match="3 tensors of input 'particles' were not where"):
        job(bench, v3_file)


@pytest.mark.compile
def test_another_number_of_tensors_is_an_error_and_not_the_end_of_the_process(v3_file):
    package = LibTorchPackage(v3_file, MODEL_IN_PACKAGE)
    for count in (0, 1, 3):
        tensors = [ArrayTensor(np.zeros((3, 3), np.float32))] * count
        with pytest.raises(RuntimeError, match=f"takes 2 tensors, and the call has {count}"):
            package(libtorch_tensors(tensors))


@pytest.mark.compile
def test_an_error_of_the_model_is_told(bench, particles, v3_file, monkeypatch):
    """The planted fault: a failing call. The library keeps the reason for who asks."""
    call = LibTorchPackage._call

    def failing(self, name, *arguments):
        call(self, name, *arguments)
        if name.endswith("RunSingleThreaded"):
            raise RuntimeError("a reason of libtorch's")

    monkeypatch.setattr(LibTorchPackage, "_call", failing)
    particles(bench.events, ROWS)
    with pytest.raises(
        ModelError, match=r"rows 0 to 200 .*particles \[200, 3\] float32: a reason of libtorch's"
    ):
        job(bench, v3_file)


class OldLibrary:
    """A library made with torch 2.11, each call of which fails."""

    def __getitem__(self, name):
        return lambda *_: 1


class Library(OldLibrary):
    """One that says why."""

    def AOTInductorGetLastError(self, message):  # noqa: N802  the library's own name
        message._obj.value = b"a reason of the library's"


@pytest.mark.parametrize(
    ("library", "reason"), [(OldLibrary, "has printed why"), (Library, "a reason of the")]
)
def test_a_call_that_fails_is_told_whether_or_not_its_library_says_why(library, reason):
    package = object.__new__(LibTorchPackage)
    package._library, package._model = library(), None
    with pytest.raises(RuntimeError, match=reason):
        package._call("AOTInductorModelContainerRunSingleThreaded")


@pytest.mark.compile
def test_a_library_that_is_none_is_refused(bench, v3_file, monkeypatch):
    monkeypatch.setattr(libtorch, "packed_library", lambda *_: b"\x7fELF" + bytes(100))
    with pytest.raises(
        ArtifactError, match=r"an AOTInductor package \(.*ELF.*TMPDIR .*, else export it again"
    ):
        backends.aot(v3_file, bench.signature, without_torch=True)
    with pytest.raises(ArtifactError, match="0 libraries of 'x86-64-v9'"):
        packed_library(v3_file, "x86-64-v9")


@pytest.mark.compile
@pytest.mark.parametrize("without_torch", [False, True])
def test_nothing_is_left_in_the_folder_of_temporary_files(
    bench, v3_file, monkeypatch, tmp_path, without_torch
):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    backends.aot(v3_file, bench.signature, without_torch=without_torch)
    assert list(folder.iterdir()) == []


@pytest.mark.compile
def test_why_a_library_cannot_be_unpacked_is_told(bench, v3_file, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    with pytest.raises(ArtifactError, match=r"\(.*Not a directory.*\): free space or set TMPDIR"):
        backends.aot(v3_file, bench.signature, without_torch=True)


@pytest.mark.compile
def test_calls_keep_no_memory(bench, v3_file):
    backend = backends.aot(v3_file, bench.signature, without_torch=True)
    inputs = [ArrayTensor(np.zeros((3, 4096), np.float32).T)]
    for _ in range(50):
        backend(inputs)
    before = process.resident_own_bytes()
    for _ in range(2000):  # 32 MB of outputs
        backend(inputs)
    assert process.resident_own_bytes() - before < 4 << 20


ALONE = """
import sys
from soaflow.infer.job import run_job
from soaflow.infer.loading import load_artifact
from soaflow.infer.variants import Backend, Variant
from soaflow.passport import read_passport
from soaflow.soa.signature import Signature

artifact, events, folder = sys.argv[1:]
signature = Signature.from_mapping(read_passport(artifact).description.signature)
variant = Variant("alone", Backend("aot"), "x86-64-v3", batch_size=64)
proof = run_job(
    lambda: load_artifact(variant, signature, artifact), signature, events,
    f"{folder}/p.h5", f"{folder}/p.json", variant=variant, attributes={},
)
assert proof.threads_seen == 1, proof
assert proof.other_threads_cpu_seconds < 0.001, proof  # two clocks are read one after the other
assert "torch" not in sys.modules
"""


@pytest.mark.compile
@pytest.mark.parametrize("variables", [SINGLE_THREAD_VARIABLES, {"OPENBLAS_NUM_THREADS": "1"}])
def test_a_job_in_a_process_of_its_own_imports_no_torch_and_has_one_thread(
    bench, particles, v3_file, tmp_path, variables
):
    particles(bench.events, ROWS)
    unset = {key: value for key, value in os.environ.items() if key not in SINGLE_THREAD_VARIABLES}
    subprocess.run(
        [sys.executable, "-c", ALONE, str(v3_file), str(bench.events), str(tmp_path)],
        check=True,
        env={**unset, **variables},
    )
