import dataclasses
import json

import pytest

from soaflow.errors import ProofError, StorageError
from soaflow.files import write_json
from soaflow.infer.gpu_proof import GpuProof
from soaflow.infer.proof import (
    CollectionProof,
    InputProof,
    Proof,
    broken_claims,
    judge_proof,
    read_proof,
)

HONEST = Proof(
    variant="plain",
    backend="eager",
    device="cpu",
    dtype="float32",
    model_sha256="a" * 64,
    torch_version="2.13.0",
    cpu_model="A CPU",
    gpu=None,
    events_bytes=4096,
    events_attributes={"dataset": "toy", "shard": 0},
    output_layout_sha256="b" * 64,
    rows=100,
    batch_size=64,
    batches=2,
    chunk_rows=100,
    chunks=1,
    chunk_rows_refused=(),
    warm_up_calls=2,
    calls_watched=4,
    calls_captured=0,
    batches_replayed=0,
    inputs=(InputProof("x", "particles", 4, 1024, 0, 400, 0, 0),),
    collections=(CollectionProof("particles", "c" * 64, 100, 1024, 1024, "in place", 4096, 4096, 4096),),
    bytes_copied_in=0,
    transfers_in=0,
    bytes_transferred_in=0,
    transfers_out=0,
    bytes_transferred_out=0,
    bytes_staged=0,
    locking_seconds=0.0,
    output_bytes=512,
    output_crossing="in place",
    bytes_made=0,
    threads_seen=1,
    wall_seconds=2.0,
    cpu_seconds=1.9,
    other_threads_cpu_seconds=0.0,
    freed_memory_kept=True,
    peak_resident_bytes=1 << 28,
    resident_file_bytes=1 << 27,
    clock="host",
    batch_seconds=(0.25, 0.15),
    batch_seconds_quantiles=(0.15, 0.16, 0.2, 0.24, 0.25, 0.25),
    batch_seconds_total=0.4,
    storing_seconds_total=0.1,
    device_seconds=None,
    load_seconds=0.1,
    warm_up_seconds=0.2,
    witness_seconds=0.001,
    seconds_to_first_tensor=1.5,
    seconds_to_first_result=2.0,
)


ON_A_GPU = {
    "device": "cuda",
    "gpu": GpuProof(
        name="A GPU",
        architecture="sm_90",
        driver="580.159.04",
        cuda="13.0",
        cuda_graphs=True,
        tf32=True,
        deterministic_algorithms=False,
        cublas_workspace=True,
        reduced_precision_sums=False,
        cudnn_benchmark=False,
    ),
    "threads_seen": 4,
    "transfers_in": 3,
    "bytes_transferred_in": 1024 + 128,
    "transfers_out": 2,
    "bytes_transferred_out": 512,
    "bytes_made": 128,
    "clock": "device events",
    "device_seconds": 0.3,
}


def with_(**changes):
    return dataclasses.replace(HONEST, **changes)


def test_an_honest_proof_breaks_no_claim():
    assert broken_claims(HONEST) == []
    judge_proof(HONEST, "p.h5")


@pytest.mark.parametrize(
    ("changes", "telling"),
    [
        ({"inputs": (InputProof("x", "particles", 4, 1024, 0, 400, 24, 0),)}, "24 bytes of input 'x'"),
        (
            {"inputs": (InputProof("x", "particles", 4, 1024, 0, 400, 0, 3),)},
            "3 tensors of input 'x' were not where",
        ),
        (
            {"inputs": (InputProof("x", "particles", 4, 1024, 0, 400, 0, 0, 48, 24),)},
            "24 bytes of input 'x' were copied by the backend, and 48 are what it says",
        ),
        (
            {"inputs": (InputProof("x", "particles", 4, 1024, 0, 400, 0, 0, 0, 24),)},
            "24 bytes of input 'x' were copied by the backend, and 0 are what it says",
        ),
        ({"threads_seen": 2}, "2 threads"),
        ({"other_threads_cpu_seconds": 0.1}, "0.100 s of CPU time"),
        ({"calls_watched": 3}, "3 calls reached the model, and 4 were made"),
        ({"transfers_in": 1, "transfers_out": 1}, "2 copies were made to and from a device"),
        (
            {"calls_watched": 3, "calls_captured": 1, "batches_replayed": 1},
            "3 calls reached .* and 4 were made",
        ),
    ],
)
def test_each_broken_claim_is_told(changes, telling):
    with pytest.raises(ProofError, match=telling) as raised:
        judge_proof(with_(**changes), "results/p.h5")
    assert "results/p.h5" in str(raised.value)


def test_a_copy_that_the_backend_declares_breaks_no_claim_and_is_told():
    seen = InputProof("x", "particles", 4, 1024, 0, 400, 0, 0, 48, 48)
    proof = with_(inputs=(seen,), backend="onnx", bytes_copied_in=48)
    assert broken_claims(proof) == []
    assert "48 bytes copied on the way in by onnx, as declared" in proof.describe()


def test_threads_of_a_gpu_driver_and_transfers_are_no_fault_on_cuda():
    assert broken_claims(with_(**ON_A_GPU)) == []


@pytest.mark.parametrize(
    ("changes", "telling"),
    [
        ({"bytes_transferred_in": 1024}, "1024 bytes went to the device, and the blobs have 1152"),
        ({"bytes_transferred_in": 1280}, "1280 bytes went to the device, and the blobs have 1152"),
        ({"bytes_transferred_out": 400}, "400 bytes went back from it, and the blobs have 512"),
    ],
)
def test_bytes_that_did_not_cross_or_crossed_twice_are_told(changes, telling):
    with pytest.raises(ProofError, match=telling):
        judge_proof(with_(**ON_A_GPU | changes), "results/p.h5")


def test_without_rows_nothing_need_cross():
    nothing = {"rows": 0, "bytes_transferred_in": 0, "bytes_transferred_out": 0}
    assert broken_claims(with_(**ON_A_GPU | nothing)) == []


def test_replayed_batches_reach_the_model_by_their_captured_calls():
    assert broken_claims(with_(calls_watched=4, calls_captured=1, batches_replayed=1)) == []


def test_derived_figures():
    assert (HONEST.rows_per_second, HONEST.cpu_over_wall) == (250.0, 0.95)
    empty = with_(rows=0, batch_seconds_total=0.0, wall_seconds=0.0)
    assert (empty.rows_per_second, empty.cpu_over_wall) == (None, None)


def test_on_a_device_rows_take_the_wall_time_without_the_warm_up():
    on_a_gpu = with_(**ON_A_GPU, wall_seconds=0.7)
    assert on_a_gpu.rows_per_second == pytest.approx(100 / (0.7 - 0.2))
    assert with_(**ON_A_GPU | {"rows": 0}).rows_per_second is None


@pytest.mark.parametrize("proof", [HONEST, with_(**ON_A_GPU)])
def test_file_gives_back_the_proof(tmp_path, proof):
    path = tmp_path / "p.proof.json"
    write_json(path, proof.to_mapping())
    assert read_proof(path) == proof
    assert json.loads(path.read_text())["rows_per_second"] == proof.rows_per_second


@pytest.mark.parametrize(
    ("content", "telling"),
    [
        ("[]", "not a proof"),
        ("{}", "proof_version"),
        ("{", "JSON"),
        (
            json.dumps({**HONEST.to_mapping(), "proof_version": 2}),
            "version 2, and this soaflow reads version 6",
        ),
        (json.dumps({**HONEST.to_mapping(), "colour": "red"}), "colour"),
        (json.dumps({k: v for k, v in HONEST.to_mapping().items() if k != "rows"}), "rows"),
    ],
)
def test_a_damaged_file_is_refused_with_its_name(tmp_path, content, telling):
    path = tmp_path / "p.proof.json"
    path.write_text(content)
    with pytest.raises(StorageError, match=telling) as raised:
        read_proof(path)
    assert str(path) in str(raised.value)


def test_a_job_is_described_in_one_line():
    proof = dataclasses.replace(
        HONEST,
        rows=3000,
        batches=1,
        batch_seconds_total=0.5,
        seconds_to_first_result=1.234,
        bytes_copied_in=0,
        threads_seen=1,
    )
    assert proof.describe() == (
        "3000 rows in 1 batch, 6,000 rows/s, first result 1.23 s after the process began, "
        "0 bytes copied on the way in, 1 thread"
    )
    moved = dataclasses.replace(proof, **ON_A_GPU, chunks=3, chunk_rows=1024, chunk_rows_refused=(4096, 2048))
    assert "3 chunks of 1024 rows, after 4096, 2048 were too many, 0 bytes staged" in moved.describe()
    empty = dataclasses.replace(
        proof, rows=0, batches=0, batch_seconds_total=0.0, seconds_to_first_result=None
    )
    assert empty.describe() == "0 rows in 0 batches, 0 bytes copied on the way in, 1 thread"
