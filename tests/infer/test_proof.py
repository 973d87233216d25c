import dataclasses
import json

import pytest

from soaflow.errors import ProofError, StorageError
from soaflow.files import write_json
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
    events_bytes=4096,
    events_attributes={"dataset": "toy", "shard": 0},
    output_layout_sha256="b" * 64,
    rows=100,
    batch_size=64,
    batches=2,
    warm_up_calls=2,
    calls_watched=4,
    inputs=(InputProof("x", "particles", 4, 1024, 0, 400, 0, 0),),
    collections=(CollectionProof("particles", "c" * 64, 100, 1024, 4096, 4096, 4096),),
    bytes_copied_in=0,
    transfers_in=0,
    bytes_transferred_in=0,
    transfers_out=0,
    bytes_transferred_out=0,
    bytes_made=0,
    threads_seen=1,
    wall_seconds=2.0,
    cpu_seconds=1.9,
    other_threads_cpu_seconds=0.0,
    freed_memory_kept=True,
    peak_resident_bytes=1 << 28,
    resident_file_bytes=1 << 27,
    batch_seconds=(0.25, 0.15),
    batch_seconds_quantiles=(0.15, 0.16, 0.2, 0.24, 0.25, 0.25),
    batch_seconds_total=0.4,
    storing_seconds_total=0.1,
    load_seconds=0.1,
    warm_up_seconds=0.2,
    witness_seconds=0.001,
    seconds_to_first_tensor=1.5,
    seconds_to_first_result=2.0,
)


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
        ({"transfers_in": 1}, "1 blobs were moved"),
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
    assert broken_claims(with_(device="cuda", threads_seen=4, transfers_in=1)) == []


def test_derived_figures():
    assert (HONEST.rows_per_second, HONEST.cpu_over_wall) == (250.0, 0.95)
    empty = with_(rows=0, batch_seconds_total=0.0, wall_seconds=0.0)
    assert (empty.rows_per_second, empty.cpu_over_wall) == (None, None)


def test_file_gives_back_the_proof(tmp_path):
    path = tmp_path / "p.proof.json"
    write_json(path, HONEST.to_mapping())
    assert read_proof(path) == HONEST
    assert json.loads(path.read_text())["rows_per_second"] == 250.0


@pytest.mark.parametrize(
    ("content", "telling"),
    [
        ("[]", "not a proof"),
        ("{}", "proof_version"),
        ("{", "JSON"),
        (
            json.dumps({**HONEST.to_mapping(), "proof_version": 2}),
            "version 2, and this soaflow reads version 4",
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
    empty = dataclasses.replace(
        proof, rows=0, batches=0, batch_seconds_total=0.0, seconds_to_first_result=None
    )
    assert empty.describe() == "0 rows in 0 batches, 0 bytes copied on the way in, 1 thread"
