"""Several runs of one loaded model: each is watched on its own, and leaves the model as it was."""

import numpy as np
import pytest

from soaflow.errors import ModelError
from soaflow.infer.backends import Backend, CopyingBackend
from soaflow.infer.proof import broken_claims
from soaflow.infer.run import MappedEvents, ProvenRun
from soaflow.infer.variants import Backend as Kind
from soaflow.infer.variants import Variant
from soaflow.soa.mapping import blob_in_memory


def weighted(tensor):
    return tensor[:, :1] + 10 * tensor[:, 1:2] + 100 * tensor[:, 2:]


def copying(signature):
    return CopyingBackend(weighted, lambda _: None, "5" * 64, signature)


def plain(_):
    return Backend(weighted)


@pytest.mark.parametrize("make", [plain, copying])
def test_each_run_of_a_loaded_model_is_watched_and_leaves_it_as_it_was(bench, particles, make):
    particles(bench.events, 100)
    backend = make(bench.signature)
    before = (backend.program, getattr(backend, "copy", None))
    events = MappedEvents.of(bench.events, bench.signature)
    for rows, size, calls in ((100, 0, 1), (100, 30, 4), (20, 7, 3)):
        written = blob_in_memory(bench.signature.output_layout.place(rows))
        run = ProvenRun(lambda: backend, bench.signature, events, Variant("m", Kind.EAGER, batch_size=size))
        proof = run.into(written, label="")
        assert broken_claims(proof) == []
        assert (proof.rows, proof.batches, proof.calls_watched) == (rows, calls, calls + 2)
        np.testing.assert_allclose(written.array("energy"), bench.expected()[:rows], rtol=1e-6)
        assert (backend.program, getattr(backend, "copy", None)) == before


def test_a_model_that_fails_is_left_as_it_was_too(bench, particles):
    particles(bench.events, 10)
    backend = Backend(lambda tensor: tensor.reshape(7, 7))
    before = backend.program
    events = MappedEvents.of(bench.events, bench.signature)
    run = ProvenRun(lambda: backend, bench.signature, events, Variant("m", Kind.EAGER))
    with pytest.raises(ModelError, match="the run: the model fails on rows 0 to 10"):
        run.into(blob_in_memory(bench.signature.output_layout.place(10)), label="the run")
    assert backend.program == before


def test_a_blob_in_memory_is_zeros_and_begins_a_page(bench):
    blob = blob_in_memory(bench.signature.output_layout.place(33))
    assert blob.address % 4096 == 0
    assert (len(blob.buffer), bytes(blob.buffer).count(0)) == (blob.placement.blob_bytes,) * 2
    assert blob_in_memory(bench.signature.output_layout.place(0)).array("energy").shape == (0,)
