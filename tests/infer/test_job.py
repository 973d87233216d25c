import dataclasses
import errno
import importlib.metadata
import os
import re
import threading
import time

import numpy as np
import pytest
import torch
from fake_cuda import FakeAccelerator
from torch import nn

from soaflow.errors import ContractError, DeviceError, ModelError, OutputError, ProofError, StorageError
from soaflow.files import sha256_of_file
from soaflow.infer import job, process, tensors, witness
from soaflow.infer.backends import Backend as BackendBase
from soaflow.infer.backends import eager
from soaflow.infer.device_place import OnDevice
from soaflow.infer.proof import RAW_TIMES_KEPT, read_proof
from soaflow.infer.variants import REFERENCE, Backend, Device, Variant
from soaflow.soa import tensors as torch_tensors
from soaflow.soa.calls import check_inputs
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import BATCH_BEGIN_LAYOUT, RowRange, Signature, TensorInput, TensorOutput
from soaflow.soa.storage import EVENTS, PREDICTIONS, read_header, writing
from soaflow.soa.views import ViewPlan

TORCH = importlib.metadata.version("torch")
PT = 128  # bytes: where the second item of an events file of up to 32 rows begins


class Function(nn.Module):
    """A model of one input whose forward is a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, particles):
        return self.function(particles)


# What a job writes


@pytest.mark.parametrize("rows", [1, 7, 64, 300])
@pytest.mark.parametrize("batch_size", [0, 1, 64])
def test_every_row_is_predicted_whatever_the_batches(bench, particles, rows, batch_size):
    particles(bench.events, rows)
    proof = bench.run(batch_size=batch_size)
    np.testing.assert_allclose(bench.written(), bench.expected(), rtol=1e-6)
    assert proof.batches == -(-rows // (batch_size or rows))
    assert len(proof.batch_seconds) == proof.batches
    assert proof.bytes_copied_in == 0


@pytest.mark.parametrize("batch_size", [0, 64])
def test_no_rows_call_no_model_and_give_a_valid_empty_file(bench, particles, batch_size):
    particles(bench.events, 0)
    called = []
    proof = bench.run(Function(lambda x: called.append(x) or x[:, :1]), batch_size=batch_size)
    assert called == []
    assert read_header(bench.predictions, PREDICTIONS).collection("predictions").placement.rows == 0
    assert (proof.batches, proof.warm_up_calls, proof.rows_per_second) == (0, 0, None)
    assert proof.seconds_to_first_result is None
    assert read_proof(bench.proof) == proof


def test_the_file_says_which_job_wrote_it(bench, particles, particles_layout):
    particles(bench.events, 3)
    bench.run()
    attributes = read_header(bench.predictions, PREDICTIONS).attributes
    assert attributes == {
        "dataset": "toy",
        "shard": 0,
        "model": "M",
        "variant": "plain",
        "computing_dtype": "float32",
        "torch_version": TORCH,
        "particles_layout_sha256": particles_layout.digest(),
    }


def test_the_proof_says_what_ran_on_which_file(bench, particles, particles_layout):
    particles(bench.events, 3)
    proof = bench.run(load=lambda: eager(Function(lambda x: x[:, :1]), "float32", weights_sha256="5" * 64))
    assert (proof.model_sha256, proof.dtype, proof.torch_version) == ("5" * 64, "float32", TORCH)
    assert proof.cpu_model == process.cpu_model()
    assert (proof.events_bytes, proof.events_attributes) == (bench.events.stat().st_size, {"dataset": "toy"})
    assert proof.collections[0].layout_sha256 == particles_layout.digest()
    assert proof.output_layout_sha256 == bench.signature.output_layout.digest()
    assert bench.run().model_sha256 == ""


def test_predictions_repeat_to_the_byte_and_the_proof_file_is_what_was_returned(bench, particles):
    particles(bench.events, 100)
    first_proof, first = bench.run(batch_size=64), sha256_of_file(bench.predictions)
    assert read_proof(bench.proof) == first_proof
    bench.run(batch_size=64)
    assert sha256_of_file(bench.predictions) == first


@pytest.mark.parametrize(
    "variant",
    [
        REFERENCE,
        Variant("double", Backend.EAGER, dtype="float64", batch_size=3),
        Variant("single", Backend.EAGER),
    ],
)
def test_what_is_computed_in_float64_is_written_unrounded(bench, particles, variant):
    dtype = variant.dtype
    particles(bench.events, 10)
    seen = []
    third = Function(lambda x: (seen.append(x.dtype), x[:, :1] / 3)[1])
    bench.run(third, variant=variant)
    assert set(seen) == {getattr(torch, dtype)}
    assert bench.written().dtype == np.dtype(dtype)
    assert np.array_equal(bench.written(), bench.events_column("pt").astype(dtype) / np.dtype(dtype).type(3))


def test_outputs_that_are_no_floats_keep_their_dtype_in_the_reference(bench, particles):
    bench.signature = Signature(
        bench.signature.inputs,
        (TensorOutput("energy", ("energy",)), TensorOutput("label", ("label",))),
        Layout.of(Item("energy", "float32", unit="GeV"), Item("label", "int32")),
    )
    particles(bench.events, 10)
    bench.run(Function(lambda x: (x[:, :1], (10 * x[:, :1]).int())), variant=REFERENCE)
    found = read_header(bench.predictions, PREDICTIONS).collection("predictions").placement.layout
    assert found == Layout.of(Item("energy", "float64", unit="GeV"), Item("label", "int32"))


def test_several_outputs_of_several_kinds(bench, particles):
    bench.signature = Signature(
        bench.signature.inputs,
        (TensorOutput("sums", ("total", "double")), TensorOutput("vector", ("vector",))),
        Layout.of(
            Item("total", "float32"),
            Item("double", "float32"),
            Item("vector", "float64", ItemKind.EIGEN, (3,)),
        ),
    )
    particles(bench.events, 100)
    bench.run(Function(lambda x: (torch.stack([x.sum(1), 2 * x.sum(1)], 1), x * 3)), batch_size=33)
    np.testing.assert_allclose(bench.written("double"), 2 * bench.written("total"), rtol=1e-6)
    np.testing.assert_allclose(bench.written("vector").sum(1), 3 * bench.written("total"), rtol=1e-6)


def test_nan_passes_through(bench, particles):
    particles(bench.events, 5)
    bench.run(Function(lambda x: x[:, :1] * float("nan")))
    assert np.isnan(bench.written()).all()


def test_a_model_that_writes_to_its_input_leaves_the_file_as_it_was(bench, particles):
    particles(bench.events, 50)
    before = sha256_of_file(bench.events)
    bench.run(Function(lambda x: x.mul_(2)[:, :1]))
    assert sha256_of_file(bench.events) == before


# Sliced, whole and job-made inputs

HITS = Layout.of(
    Item("charge", "float32"),
    Item("scale", "float32", ItemKind.SCALAR),
    Item("track", "int32"),
)


class ChargePerTrack(nn.Module):
    """Scaled sum of the charges of each track of the batch; the hits of other batches fall away."""

    def forward(self, tracks, charge, scale, track, track_begin):
        local = track[:, 0].long() - track_begin[0, 0].long()
        mine = (local >= 0) & (local < tracks.shape[0])
        sums = tracks.new_zeros(tracks.shape[0])
        sums = sums.index_add(0, local[mine], charge[mine, 0] * scale[mine, 0])
        return sums[:, None]


@pytest.mark.parametrize("hits", [0, 1, 200])
@pytest.mark.parametrize("batch_size", [0, 1, 16])
def test_whole_and_scalar_inputs_and_batch_beginnings(bench, batch_size, hits):
    tracks = Layout.of(Item("pt", "float32"))
    random = np.random.default_rng(1)
    charge = random.random(hits).astype(np.float32)
    track = np.sort(random.integers(0, 50, hits))
    placements = {"tracks": tracks.place(50), "hits": HITS.place(hits)}
    with writing(bench.events, EVENTS, placements, {}) as writer:
        writer.write("hits", "charge", charge)
        writer.write("hits", "scale", 2.5)
        writer.write("hits", "track", track)
    bench.signature = Signature(
        (
            TensorInput("tracks", "tracks", tracks, ("pt",)),
            *(TensorInput(n, "hits", HITS, (n,), RowRange.WHOLE) for n in ("charge", "scale", "track")),
            TensorInput("track_begin", "", BATCH_BEGIN_LAYOUT, ("batch_begin",), RowRange.BATCH_BEGIN),
        ),
        bench.signature.outputs,
        bench.signature.output_layout,
    )
    proof = bench.run(ChargePerTrack(), batch_size=batch_size)
    np.testing.assert_allclose(
        bench.written(), 2.5 * np.bincount(track, charge, minlength=50), rtol=1e-5, atol=1e-6
    )
    batches = -(-50 // (batch_size or 50))
    assert proof.bytes_made == BATCH_BEGIN_LAYOUT.place(batches).blob_bytes
    assert [c.name for c in proof.collections] == ["tracks", "hits"]
    made = next(i for i in proof.inputs if i.name == "track_begin")
    assert (made.collection, made.highest_offset) == ("", 4 * batches)


# The proof


def test_addresses_span_exactly_the_items_used(bench, particles):
    particles(bench.events, 32)
    proof = bench.run(batch_size=5)
    (seen,) = proof.inputs
    assert (seen.lowest_offset, seen.highest_offset) == (PT, 4 * PT)
    assert seen.tensors == proof.calls_watched == proof.batches + proof.warm_up_calls == 9


def test_pages_of_items_that_no_input_names_are_not_touched(bench):
    rows = 4 << 20
    layout = Layout.of(*(Item(f"spare{i}", "float32") for i in range(6)), Item("pt", "float32"))
    with writing(bench.events, EVENTS, {"particles": layout.place(rows)}, {}) as writer:
        writer.write("particles", "pt", np.ones(rows))
    bench.signature = Signature(
        (TensorInput("pt", "particles", layout, ("pt",)),),
        bench.signature.outputs,
        bench.signature.output_layout,
    )
    (seen,) = bench.run(Function(lambda x: x * 2), batch_size=1 << 18).collections
    column = rows * 4
    assert column <= seen.touched_bytes <= column + (4 << 20) < seen.blob_bytes // 3
    assert (bench.written() == 2).all()


class Copying(BackendBase):
    """The planted fault: a backend that makes its inputs contiguous."""

    def run(self, inputs):
        return self.program(*[tensor.contiguous() for tensor in inputs])


def test_a_backend_that_copies_its_inputs_is_caught(bench, particles):
    particles(bench.events, 100)
    with pytest.raises(ProofError, match=r"bytes of input 'particles'.*copied"):
        bench.run(load=lambda: Copying(Function(lambda x: x[:, :1])), batch_size=64)
    assert bench.leftovers() == []


def test_a_backend_that_copies_only_the_last_short_batch_is_caught(bench, particles):
    class LastCopying(BackendBase):
        def run(self, inputs):
            return self.program(*[t.clone() if len(t) == 36 else t for t in inputs])

    particles(bench.events, 100)
    with pytest.raises(ProofError, match=f"{36 * 3 * 4} bytes of input 'particles'"):
        bench.run(load=lambda: LastCopying(Function(lambda x: x[:, :1])), batch_size=64)


class Shifting(BackendBase):
    """The planted fault: views of the right map, at another place from the second batch on."""

    def __init__(self, shift):
        super().__init__(Function(lambda x: x[:, :1]))
        self.shift = shift

    def run(self, inputs):
        (tensor,) = inputs
        return self.program(self.shift(tensor) if len(tensor) == 36 else tensor)


@pytest.mark.parametrize(
    "shift",
    [
        lambda x: x.as_strided(x.shape, x.stride(), x.storage_offset() - 1),  # a row too early
        lambda x: x.as_strided(x.shape, x.stride(), x.storage_offset() - x.stride(1)),  # an item too early
        lambda x: x.as_strided(x.shape, (2, x.stride(1)), x.storage_offset() - 64),  # every second row
        lambda x: x.as_strided((36, 3), (1, 1)),  # rows of the items mixed
        lambda x: x[:, :2],
    ],
)
def test_a_view_at_a_wrong_place_in_the_right_map_is_caught(bench, particles, shift):
    particles(bench.events, 100)
    with pytest.raises(ProofError, match="1 tensors of input 'particles' were not where its items and"):
        bench.run(load=lambda: Shifting(shift), batch_size=64)
    assert bench.leftovers() == []


def test_a_loader_that_plans_other_items_is_caught(bench, particles, monkeypatch):
    view = torch_tensors.view

    def shifted(blob: torch.Tensor, plan: ViewPlan) -> torch.Tensor:
        wrong = 0 if plan.sizes[1] == 1 else 4 * plan.strides[1]  # the outputs stay as they are
        return view(blob, dataclasses.replace(plan, byte_offset=plan.byte_offset - wrong))

    monkeypatch.setattr(torch_tensors, "view", shifted)
    particles(bench.events, 100)
    with pytest.raises(ProofError, match="3 tensors of input 'particles' were not where"):
        bench.run()


def test_a_whole_map_that_was_copied_is_caught(bench, particles, monkeypatch):
    blob_tensor = torch_tensors.blob_tensor
    copied = []

    def copying(blob):
        copied.append(blob_tensor(blob))
        return copied[-1].clone() if len(copied) == 1 else copied[-1]

    monkeypatch.setattr(torch_tensors, "blob_tensor", copying)
    particles(bench.events, 100)
    with pytest.raises(
        ProofError, match="bytes of input 'particles' were not where its collection's blob is"
    ):
        bench.run()


def test_the_time_of_the_witness_is_not_that_of_a_batch(bench, particles, monkeypatch):
    note = witness.Witness._note

    def slow(self, given):
        note(self, given)
        self.seconds += 1000

    monkeypatch.setattr(witness.Witness, "_note", slow)
    particles(bench.events, 100)
    proof = bench.run(batch_size=50)
    assert proof.witness_seconds > 4000
    assert all(-1000 < seconds < -900 for seconds in proof.batch_seconds)


def test_a_loader_of_events_that_copies_is_caught(bench, particles, monkeypatch):
    view = torch_tensors.view
    monkeypatch.setattr(torch_tensors, "view", lambda blob, plan: view(blob.clone(), plan))
    particles(bench.events, 100)
    with pytest.raises(ProofError, match="input 'particles'"):
        bench.run(Function(lambda x: x[:, :1]))


def test_a_backend_that_evades_the_witness_is_caught(bench, particles):
    class Evading(BackendBase):
        def run(self, inputs):
            return inputs[0].clone()[:, :1]

    particles(bench.events, 100)
    with pytest.raises(ProofError, match="0 calls reached the model, and 3 were made"):
        bench.run(load=lambda: Evading(lambda x: x))
    assert bench.leftovers() == []


def test_a_thread_that_starts_during_the_run_is_caught(bench, particles):
    end = threading.Event()
    started = []

    def start_once(x):
        if not started:
            started.append(threading.Thread(target=end.wait))
            started[0].start()
        return x[:, :1]

    particles(bench.events, 100)
    try:
        with pytest.raises(ProofError, match="2 threads"):
            bench.run(Function(start_once))
    finally:
        end.set()
        started[0].join()
    assert bench.leftovers() == []


def test_a_thread_that_comes_and_goes_within_a_batch_is_caught_by_its_cpu_time(bench, particles, monkeypatch):
    monkeypatch.setattr(process, "thread_count", lambda: 1)  # as if it was gone at every sample

    def work():
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass

    def threaded(x):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return x[:, :1]

    particles(bench.events, 100)
    with pytest.raises(ProofError, match=r"other threads than the job's own took 0\.\d+ s"):
        bench.run(Function(threaded))
    assert bench.leftovers() == []


def test_threads_are_sampled_after_every_batch(bench, particles, monkeypatch):
    particles(bench.events, 100)
    samples = iter([1] * 8 + [2] + [1] * 100)
    monkeypatch.setattr(process, "thread_count", lambda: next(samples))
    with pytest.raises(ProofError, match="2 threads"):
        bench.run(batch_size=10)


def test_of_many_batches_only_quantiles_are_kept(bench, particles):
    particles(bench.events, RAW_TIMES_KEPT + 1)
    proof = bench.run(batch_size=1)
    assert proof.batch_seconds == ()
    assert list(proof.batch_seconds_quantiles) == sorted(proof.batch_seconds_quantiles)
    assert proof.batch_seconds_total >= proof.batches * proof.batch_seconds_quantiles[0] > 0


def test_times_follow_each_other(bench, particles):
    particles(bench.events, 100)
    proof = bench.run(batch_size=50)
    assert proof.seconds_to_first_result is not None
    assert 0 < proof.seconds_to_first_tensor <= proof.seconds_to_first_result
    assert proof.wall_seconds >= proof.batch_seconds_total + proof.warm_up_seconds


@pytest.mark.parametrize(("slow", "part"), [("write", "storing"), ("model", "the rest")])
def test_the_time_of_storing_is_a_part_of_that_of_the_batches(bench, particles, monkeypatch, slow, part):
    write = tensors.Outputs.write

    def slow_write(self, *given):
        time.sleep(0.02)
        write(self, *given)

    def slow_model(x):
        time.sleep(0.02)
        return x[:, :1]

    if slow == "write":
        monkeypatch.setattr(tensors.Outputs, "write", slow_write)
    particles(bench.events, 30)
    proof = bench.run(Function(slow_model if slow == "model" else lambda x: x[:, :1]), batch_size=10)
    rest = proof.batch_seconds_total - proof.storing_seconds_total
    assert (proof.storing_seconds_total if part == "storing" else rest) >= 3 * 0.02
    assert min(rest, proof.storing_seconds_total) > 0
    assert read_proof(bench.proof).storing_seconds_total == proof.storing_seconds_total


# The contract, checked once for a job


class Checked:
    """Makes backends that note which calls were checked and which were made."""

    def __init__(self, signature, refused=None):
        self.checked, self.called = [], []
        self.signature = signature
        self.refused = refused

    def check(self, inputs):
        self.checked.append(tuple(inputs[0].shape))
        if inputs[0].shape[0] == self.refused:
            raise ContractError("not these")
        check_inputs(self.signature, inputs)

    def program(self, x):
        self.called.append(tuple(x.shape))
        return x[:, :1]

    def __call__(self):
        return BackendBase(self.program, self.check)


@pytest.mark.parametrize(
    ("rows", "batch_size", "checked"),
    [
        (100, 10, [10, 10]),
        (104, 10, [10, 4]),
        (1, 1, [1]),
        (64, 64, [64]),
        (7, 0, [7]),
        (0, 0, []),
        (0, 8, []),
    ],
)
def test_the_first_and_the_last_batch_are_checked_once_for_a_job(bench, particles, rows, batch_size, checked):
    particles(bench.events, rows)
    checks = Checked(bench.signature)
    proof = bench.run(load=checks, batch_size=batch_size)
    assert checks.checked == [(count, 3) for count in checked]
    assert len(checks.called) == proof.batches + proof.warm_up_calls


@pytest.mark.parametrize("refused", [10, 4])
def test_a_batch_that_breaks_the_contract_ends_the_job_before_any_call(bench, particles, refused):
    particles(bench.events, 104)
    checks = Checked(bench.signature, refused)
    with pytest.raises(ContractError, match="not these"):
        bench.run(load=checks, batch_size=10)
    assert checks.called == []
    assert bench.leftovers() == []


def test_row_major_inputs_end_the_job_before_any_call(bench, particles, monkeypatch):
    particles(bench.events, 104)
    view = torch_tensors.view
    monkeypatch.setattr(torch_tensors, "view", lambda blob, plan: view(blob, plan).contiguous())
    checks = Checked(bench.signature)
    with pytest.raises(ContractError, match=r"input 'particles' has strides.*not a row-major tensor"):
        bench.run(load=checks, batch_size=10)
    assert checks.called == []
    assert bench.leftovers() == []


# Other devices, with the CPU standing for one


@pytest.mark.parametrize("batch_size", [0, 16])
def test_on_a_device_each_blob_moves_once_whatever_the_batches(bench, particles, batch_size):
    particles(bench.events, 100)
    place = OnDevice(FakeAccelerator())
    variant = Variant("gpu", Backend.EAGER, device=Device.CUDA, batch_size=batch_size)
    proof = bench.run(place=place, variant=variant)
    np.testing.assert_allclose(bench.written(), bench.expected(), rtol=1e-6)
    assert (proof.transfers_in, proof.transfers_out) == (1, 1)
    assert proof.bytes_transferred_in == proof.collections[0].blob_bytes
    assert proof.bytes_transferred_out == bench.signature.output_layout.place(100).blob_bytes
    assert proof.bytes_copied_in == 0
    assert (proof.inputs[0].lowest_offset, proof.inputs[0].highest_offset) == (512, 3 * 512 + 400)


def test_on_a_device_a_view_made_before_the_transfer_is_caught(bench, particles, monkeypatch):
    particles(bench.events, 100)
    place = OnDevice(FakeAccelerator())
    view = torch_tensors.view
    monkeypatch.setattr(torch_tensors, "view", lambda blob, plan: view(blob, plan).to("cpu", copy=True))
    variant = Variant("gpu", Backend.EAGER, device=Device.CUDA)
    with pytest.raises(ProofError, match="bytes of input 'particles'"):
        bench.run(Function(lambda x: x[:, :1]), place=place, variant=variant)


def test_a_cuda_job_on_the_cpu_alone_is_no_zero_copy_job(bench, particles):
    particles(bench.events, 100)
    with pytest.raises(ProofError, match="2 copies were made to and from a device"):
        bench.run(place=OnDevice(FakeAccelerator()))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_an_error_before_anything_is_written(bench, particles):
    particles(bench.events, 3)
    with pytest.raises(DeviceError, match="needs an NVIDIA GPU"):
        bench.run(variant=Variant("gpu", Backend.EAGER, device=Device.CUDA))
    assert bench.leftovers() == []


# Mistakes: one sentence, and no file left behind


@pytest.mark.parametrize(
    ("function", "telling"),
    [
        (lambda x: x.sum(1), r"output 'energy' has shape \[100\].*\[100, 1\]"),
        (lambda x: x, r"output 'energy' has shape \[100, 3\]"),
        (lambda x: (x[:, :1], x[:, :1]), "2 outputs, and its signature has 1"),
        (lambda _: (), "0 outputs"),
        (lambda _: None, "NoneType"),
        (lambda x: x[:, :1] * 1j, "output 'energy' is complex, which no item can hold"),
        (lambda x: x @ torch.zeros(5, 1), r"rows 0 to 100 .*particles \[100, 3\] float32.*shapes"),
        (lambda x: x.no_such_thing, "no_such_thing"),
    ],
)
def test_a_model_that_fails_or_returns_other_outputs(bench, particles, function, telling):
    particles(bench.events, 100)
    with pytest.raises(ModelError, match=telling) as raised:
        bench.run(Function(function))
    assert re.match(rf"model \w*, variant \w+, {re.escape(str(bench.events))}: ", str(raised.value))
    assert "\n" not in str(raised.value)
    assert bench.leftovers() == []


def test_a_model_that_is_wrong_only_in_the_last_short_batch(bench, particles):
    particles(bench.events, 100)
    with pytest.raises(ModelError, match=r"\[64, 1\].*\[36, 1\]"):
        bench.run(Function(lambda _: torch.zeros(64, 1)), batch_size=64)
    assert bench.leftovers() == []


def test_an_error_leaves_the_earlier_files_as_they_were(bench, particles):
    particles(bench.events, 100)
    bench.run()
    before = sha256_of_file(bench.predictions), sha256_of_file(bench.proof)
    with pytest.raises(ModelError):
        bench.run(Function(lambda x: x))
    assert (sha256_of_file(bench.predictions), sha256_of_file(bench.proof)) == before
    assert len(bench.leftovers()) == 2


ITEMS = tuple(Item(name, "float32") for name in ("pt", "eta", "phi"))
NUMBER = Item("number", "int32")
MASK = Item("mask", "uint8", ItemKind.EIGEN, (3,))


@pytest.mark.parametrize(
    ("layout", "telling"),
    [
        (Layout.of(NUMBER, *ITEMS[:2], MASK), "item 'phi' is missing"),
        (
            Layout.of(NUMBER, ITEMS[0], Item("eta", "float64"), ITEMS[2], MASK),
            "item 'eta' has dtype float64.*float32",
        ),
        (
            Layout.of(NUMBER, *ITEMS, Item("mask", "uint8", ItemKind.EIGEN, (4,))),
            r"'mask' has shape \[4\].*\[3\]",
        ),
        (Layout.of(NUMBER, *ITEMS, Item("mask", "uint8")), "'mask' has kind column.*eigen"),
        (Layout.of(*ITEMS, NUMBER, MASK), "items are pt, eta, phi, number, mask"),
        (Layout.of(NUMBER, *ITEMS, MASK, Item("more", "int8")), "more and must be"),
        (Layout.of(NUMBER, *ITEMS, MASK, alignment=256), "alignment is 256"),
    ],
)
def test_a_file_of_another_layout_is_refused_with_item_expected_and_got(bench, particles, layout, telling):
    particles(bench.events, 10, layout)
    with pytest.raises(StorageError, match=telling) as raised:
        bench.run(load=lambda: pytest.fail("the model is loaded for nothing"))
    assert str(bench.events) in str(raised.value)
    assert "'particles'" in str(raised.value)
    assert bench.leftovers() == []


def test_a_file_without_the_collection_or_of_another_kind_is_refused(bench):
    with writing(bench.events, EVENTS, {"jets": Layout.of(NUMBER).place(2)}, {}):
        pass
    with pytest.raises(StorageError, match="no collection 'particles'"):
        bench.run()
    bench.events.unlink()
    with pytest.raises(StorageError, match="cannot be read"):
        bench.run()
    with writing(bench.events, PREDICTIONS, {"particles": Layout.of(NUMBER).place(2)}, {}):
        pass
    with pytest.raises(StorageError, match="holds predictions, not events"):
        bench.run()
    assert bench.leftovers() == []


def test_a_file_in_another_unit_is_refused(bench, particles):
    particles(bench.events, 10, Layout.of(NUMBER, Item("pt", "float32", unit="MeV"), *ITEMS[1:], MASK))
    with pytest.raises(StorageError, match="item 'pt' is in MeV and must be in GeV"):
        bench.run(load=lambda: pytest.fail("the model is loaded for nothing"))
    assert bench.leftovers() == []


@pytest.mark.parametrize("pt", [Item("pt", "float32"), Item("pt", "float32", unit="GeV")])
def test_a_unit_that_one_side_does_not_name_is_no_other_layout(bench, particles, pt):
    phi = Item("phi", "float32", unit="rad")
    particles(bench.events, 10, Layout.of(NUMBER, pt, ITEMS[1], phi, MASK))
    bench.run()
    np.testing.assert_allclose(bench.written(), bench.expected(), rtol=1e-6)


def label_of(bench, dtype):
    bench.signature = Signature(
        bench.signature.inputs, (TensorOutput("label", ("label",)),), Layout.of(Item("label", dtype))
    )


@pytest.mark.parametrize("variant", [REFERENCE, Variant("plain", Backend.EAGER)])
@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_floating_results_are_not_cut_to_integers(bench, particles, dtype, variant):
    label_of(bench, dtype)
    particles(bench.events, 10)
    telling = f"output 'label' is {variant.dtype}, and its items are {dtype}, .*return {dtype} from the model"
    with pytest.raises(ModelError, match=telling):
        bench.run(Function(lambda x: x[:, :1]), variant=variant)
    assert bench.leftovers() == []


@pytest.mark.parametrize(
    ("dtype", "result", "value", "fits"),
    [
        ("int8", "int64", 127, True),
        ("int8", "int64", 128, False),
        ("int8", "int64", -129, False),
        ("int8", "uint8", 200, False),
        ("uint8", "int32", 255, True),
        ("uint8", "int32", -1, False),
        ("uint64", "int64", -1, False),
        ("uint64", "int64", (1 << 63) - 1, True),
        ("int64", "uint64", (1 << 64) - 1, False),
        ("bool", "int64", 1, True),
        ("bool", "int64", 2, False),
        ("int32", "bool", 1, True),
        ("float32", "int64", 1 << 20, True),
    ],
)
def test_integers_are_stored_or_refused_and_never_wrap(bench, particles, dtype, result, value, fits):
    """Only the last row, of the last batch, is out of range."""

    def last_row(x):
        values = np.zeros((len(x), 1), result)
        if len(x) == 10:
            values[-1, 0] = value
        return torch.from_numpy(values)

    label_of(bench, dtype)
    particles(bench.events, 74)
    if fits:
        bench.run(Function(last_row), batch_size=64)
        assert bench.written("label").tolist() == [0] * 73 + [value]
    else:
        with pytest.raises(ModelError, match=rf"output 'label' has the value {value}, and its items are"):
            bench.run(Function(last_row), batch_size=64)
        assert bench.leftovers() == []


def test_an_output_folder_that_is_a_file(bench, particles):
    particles(bench.events, 10)
    bench.predictions.parent.write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        bench.run()
    assert bench.predictions.parent.read_text() == "in the way"


def full_disk(*_arguments, **_keywords):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_fills_with_the_predictions_leaves_nothing(bench, particles, monkeypatch):
    particles(bench.events, 10)
    monkeypatch.setattr(os, "posix_fallocate", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        bench.run()
    assert bench.leftovers() == []


def test_a_disk_that_fills_with_the_proof_leaves_no_predictions(bench, particles, monkeypatch):
    particles(bench.events, 10)
    monkeypatch.setattr(job, "json_text", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        bench.run()
    assert bench.leftovers() == []


def test_a_proof_that_cannot_be_renamed_leaves_no_predictions(bench, particles):
    particles(bench.events, 10)
    bench.proof.mkdir(parents=True)
    with pytest.raises(OutputError, match=r"proof\.json cannot be written: Is a directory; move away"):
        bench.run()
    assert bench.leftovers() == [bench.proof.name]


def test_a_model_that_cannot_be_loaded_leaves_nothing(bench, particles):
    def load():
        raise ModelError("no such model")

    particles(bench.events, 10)
    with pytest.raises(ModelError, match="no such model"):
        bench.run(load=load)
    assert bench.leftovers() == []


def test_eager_takes_the_weights_of_the_model(bench, particles):
    model = nn.Linear(3, 1)
    nn.init.constant_(model.weight, 2.0)
    nn.init.constant_(model.bias, 1.0)
    particles(bench.events, 10)
    bench.run(load=lambda: eager(model, "float64"), variant=REFERENCE)
    total = sum(
        np.asarray(x, np.float64) for x in (bench.events_column(name) for name in ("pt", "eta", "phi"))
    )
    np.testing.assert_allclose(bench.written(), 2 * total + 1, rtol=1e-6)
