"""The way through a device: the bits, the bytes and the proof of the CPU's, whatever the chunks.

The device is `fake_cuda`'s: memory of its own, and copies that happen when somebody waits for them.
"""

import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_cuda import FakeAccelerator, FakeDriver
from torch import nn

from soaflow.errors import DeviceError, ModelError, OutOfDeviceMemoryError, ProofError
from soaflow.files import sha256_of_file
from soaflow.infer import chunks, device_route, device_slots, process, run_maps
from soaflow.infer.device_place import OnDevice
from soaflow.infer.proof import read_proof
from soaflow.infer.variants import Backend, Device, Variant
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import BATCH_BEGIN_LAYOUT, RowRange, Signature, TensorInput, TensorOutput
from soaflow.soa.storage import EVENTS, writing

ROW_BYTES = 4 + 3 * 4 + 3  # of the particles of conftest


@pytest.fixture(autouse=True)
def spoilt_memory(monkeypatch):
    """Memory of the device is no zeros at first."""
    fresh = device_slots.bytes_on
    for module in (device_slots, device_route):
        monkeypatch.setattr(module, "bytes_on", lambda *arguments: fresh(*arguments).fill_(0xA5))


def on_device(bench, *, batch_size=0, chunk_rows=1 << 20, accelerator=None, graphs=False, **options):
    """Run a job on the stand-in, in chunks of about so many particles."""
    place = OnDevice(accelerator or FakeAccelerator(), chunk_bytes=chunk_rows * ROW_BYTES)
    variant = Variant("plain", Backend.EAGER, device=Device.CUDA, batch_size=batch_size, cuda_graphs=graphs)
    return bench.run(place=place, variant=variant, **options)


def is_of_a_file(address):
    """Whether a page is mapped from a file; anonymous memory that is shared is shown as of /dev/zero."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        begin, end = (int(bound, 16) for bound in line.split()[0].split("-"))
        if begin <= address < end:
            return "/" in line and "/dev/zero" not in line
    return False


def refusing(*, inputs=False, outputs=False):
    """A driver that locks no read-only pages, or none that are writable and of a file."""

    def refuses(address, _size, flags):
        return (inputs if flags else outputs) and is_of_a_file(address)

    return FakeDriver(refuses=refuses)


@pytest.mark.parametrize("rows", [1, 31, 32, 300])
@pytest.mark.parametrize("batch_size", [0, 1, 7, 64])
@pytest.mark.parametrize("chunk_rows", [1, 40, 128, 1000])
def test_predictions_are_those_of_the_cpu_to_the_byte(bench, particles, rows, batch_size, chunk_rows):
    particles(bench.events, rows)
    bench.run(batch_size=batch_size)
    expected = sha256_of_file(bench.predictions)
    accelerator = FakeAccelerator()
    proof = on_device(bench, batch_size=batch_size, chunk_rows=chunk_rows, accelerator=accelerator)
    assert sha256_of_file(bench.predictions) == expected
    step = batch_size or rows
    held = step if batch_size == 0 else min(rows, max(1, chunk_rows // batch_size) * batch_size)
    assert (proof.chunk_rows, proof.chunks) == (held, -(-rows // held))
    assert proof.batches == len(proof.batch_seconds) == -(-rows // step)
    assert proof.calls_watched == proof.batches + 2
    assert proof.bytes_transferred_in == proof.collections[0].needed_bytes == proof.collections[0].blob_bytes
    assert proof.bytes_transferred_out == proof.output_bytes
    assert (proof.bytes_copied_in, proof.bytes_staged) == (0, 0)
    assert (proof.collections[0].crossing, proof.output_crossing) == ("page-locked", "page-locked")
    assert (proof.clock, proof.chunk_rows_refused) == ("device events", ())
    assert 0 < proof.device_seconds <= proof.batch_seconds_total * (1 + 1e-9)
    assert accelerator.library.locked == {}
    assert read_proof(bench.proof) == proof


@pytest.mark.parametrize("inputs", [False, True])
@pytest.mark.parametrize("outputs", [False, True])
def test_maps_that_cannot_be_locked_are_staged_and_that_is_counted(bench, particles, inputs, outputs):
    particles(bench.events, 300)
    bench.run(batch_size=30)
    expected = sha256_of_file(bench.predictions)
    library = refusing(inputs=inputs, outputs=outputs)
    proof = on_device(bench, batch_size=30, chunk_rows=60, accelerator=FakeAccelerator(library))
    assert sha256_of_file(bench.predictions) == expected
    names = {False: "page-locked", True: "staged"}
    assert (proof.collections[0].crossing, proof.output_crossing) == (names[inputs], names[outputs])
    staged = inputs * proof.bytes_transferred_in + outputs * proof.bytes_transferred_out
    assert proof.bytes_staged == staged
    assert library.locked == {}


def test_inputs_are_locked_for_reading_where_they_lie_and_crossed_in_a_few_copies(bench, particles):
    particles(bench.events, 300)
    accelerator = FakeAccelerator()
    proof = on_device(bench, batch_size=50, chunk_rows=100, accelerator=accelerator)
    (_, _, read_flags), (_, _, written_flags) = accelerator.library.ever_locked
    assert (read_flags, written_flags) == (8, 0)
    # int32 and float32 columns are of one width; the mask of bytes is another
    assert (proof.transfers_in, proof.transfers_out, proof.chunks) == (2 * 3, 3, 3)
    on_device(bench, accelerator=accelerator)
    assert accelerator.library.copies[-2:] == [("in", proof.bytes_transferred_in, 1), ("out", 1280, 1)]


def test_a_driver_that_locks_nothing_is_an_error_and_no_file(bench, particles):
    particles(bench.events, 30)
    library = FakeDriver(refuses=lambda *_: True)
    with pytest.raises(DeviceError, match=r"locks no memory to copy from and to \(operation not supported"):
        on_device(bench, accelerator=FakeAccelerator(library))
    assert bench.leftovers() == []


@pytest.mark.parametrize("way", ["in", "out"])
def test_a_copy_that_fails_is_an_error_and_leaves_no_page_locked(bench, particles, way):
    particles(bench.events, 30)
    library = FakeDriver()
    library.failing = way
    with pytest.raises(DeviceError, match="driver did not copy"):
        on_device(bench, accelerator=FakeAccelerator(library))
    assert (bench.leftovers(), library.locked) == ([], {})


def test_without_rows_nothing_is_called_and_the_file_is_empty(bench, particles):
    particles(bench.events, 0)
    bench.run()
    expected = sha256_of_file(bench.predictions)
    for batch_size in (0, 7):
        proof = on_device(bench, batch_size=batch_size)
        assert sha256_of_file(bench.predictions) == expected
        assert (proof.batches, proof.warm_up_calls, proof.chunks) == (0, 0, 0)
        assert proof.seconds_to_first_result is None


def test_a_device_warms_up_with_a_whole_batch_and_the_cpu_with_a_part(bench, particles):
    rows = []

    class Seen(Hungry):
        def forward(self, particles):
            rows.append(len(particles))
            return super().forward(particles)

    particles(bench.events, 3000)
    on_device(bench, model=Seen(2000), batch_size=2000)
    assert rows == [2000, 2000, 2000, 1000]
    rows.clear()
    bench.run(Seen(2000), batch_size=2000)
    assert rows == [1024, 1024, 2000, 1000]


def test_between_two_calls_on_a_device_the_host_counts_no_threads(bench, particles, monkeypatch):
    counted = []
    monkeypatch.setattr(process, "thread_count", lambda: counted.append(1) or 1)
    particles(bench.events, 300)
    on_device(bench, batch_size=1)
    few = len(counted)
    bench.run(batch_size=1)
    assert few < 10
    assert len(counted) > few + 300


# Faults that are planted


@pytest.mark.parametrize("field", ["blob_offset", "blob_pitch", "slot_offset"])
def test_a_region_in_the_wrong_place_gives_other_predictions(bench, particles, monkeypatch, field):
    particles(bench.events, 300)
    bench.run(batch_size=50)
    expected = sha256_of_file(bench.predictions)
    right = chunks.chunk_regions

    def wrong(*arguments, **keywords):
        return tuple(
            replace(region, **{field: getattr(region, field) + 4}) if region.height > 1 else region
            for region in right(*arguments, **keywords)
        )

    monkeypatch.setattr(run_maps, "chunk_regions", wrong)
    on_device(bench, batch_size=50, chunk_rows=100)
    assert sha256_of_file(bench.predictions) != expected


def test_a_region_that_is_left_out_breaks_the_proof(bench, particles, monkeypatch):
    particles(bench.events, 300)
    right = chunks.chunk_regions
    monkeypatch.setattr(run_maps, "chunk_regions", lambda *a, **k: right(*a, **k)[:1])
    with pytest.raises(ProofError, match="bytes went to the device, and the blobs have"):
        on_device(bench, batch_size=50, chunk_rows=100)
    assert bench.leftovers() == []


def test_outputs_that_are_unstaged_before_they_are_there_are_seen(bench, particles, monkeypatch):
    particles(bench.events, 300)
    bench.run(batch_size=50)
    expected = sha256_of_file(bench.predictions)
    settle = device_route.DeviceRoute._settle

    def hasty(self, slot):
        self._maps.settle(slot.number)
        settle(self, slot)

    monkeypatch.setattr(device_route.DeviceRoute, "_settle", hasty)
    accelerator = FakeAccelerator(refusing(outputs=True))
    on_device(bench, batch_size=50, chunk_rows=50, accelerator=accelerator)
    assert sha256_of_file(bench.predictions) != expected


def test_the_padding_after_the_last_rows_is_zero_though_the_slot_was_used(bench, particles):
    particles(bench.events, 290)
    on_device(bench, batch_size=10, chunk_rows=40)
    assert not np.frombuffer(bench.predictions.read_bytes(), np.uint8)[-(1280 - 290 * 4) :].any()


def test_a_tensor_of_another_slot_is_not_where_it_must_be(bench, particles, monkeypatch):
    particles(bench.events, 300)
    make = device_slots.DeviceSlot.__init__

    def exchanged(self, number, *arguments, **keywords):
        make(self, number, *arguments, **keywords)
        self.number = 1 - number

    monkeypatch.setattr(device_slots.DeviceSlot, "__init__", exchanged)
    with pytest.raises(ProofError, match="bytes of input 'particles' were not where"):
        on_device(bench, batch_size=50, chunk_rows=50)


@pytest.mark.parametrize("batch_size", [0, 50])
def test_a_call_that_the_device_fails_at_later_is_the_models_and_not_a_copys(bench, particles, batch_size):
    particles(bench.events, 300)
    library = FakeDriver()

    class Broken(Hungry):
        def forward(self, particles):
            library.broken = True
            return super().forward(particles)

    with pytest.raises(
        ModelError,
        match=r"model M, variant plain, .*: the work of the model fails on cpu \(CUDA error: device-side "
        r"assert triggered\): run the variant on the CPU",
    ):
        on_device(
            bench,
            model=Broken(300),
            batch_size=batch_size,
            chunk_rows=50,
            accelerator=FakeAccelerator(library),
        )
    assert bench.leftovers() == []


# Inputs that cross whole, and scalars

HITS = Layout.of(
    Item("charge", "float32"),
    Item("scale", "float32", ItemKind.SCALAR),
    Item("track", "int32"),
)
TRACKS = Layout.of(
    Item("pt", "float32"),
    Item("unit", "float64", ItemKind.SCALAR),
    Item("number", "int32"),
    Item("field", "float32", ItemKind.SCALAR),
    Item("slope", "float64", ItemKind.EIGEN, (2,)),
)


class ChargePerTrack(nn.Module):
    """Scaled sum of the charges of each track of the batch, and what the track itself holds."""

    def forward(self, pt, field, slope, charge, scale, track, track_begin):
        local = track[:, 0].long() - track_begin[0, 0].long()
        mine = (local >= 0) & (local < pt.shape[0])
        sums = pt.new_zeros(pt.shape[0]).index_add(0, local[mine], charge[mine, 0] * scale[mine, 0])
        return (sums * field[:, 0] + pt[:, 0] + slope.sum(1).float())[:, None]


@pytest.fixture
def tracks(bench):
    """A file of 50 tracks and some hits, and the model's signature."""

    def write(hits):
        random = np.random.default_rng(1)
        with writing(
            bench.events, EVENTS, {"tracks": TRACKS.place(50), "hits": HITS.place(hits)}, {}
        ) as file:
            file.write("hits", "charge", random.random(hits).astype(np.float32))
            file.write("hits", "scale", 2.5)
            file.write("hits", "track", np.sort(random.integers(0, 50, hits)))
            file.write("tracks", "pt", random.random(50))
            file.write("tracks", "field", 3.75)
            file.write("tracks", "slope", random.random((50, 2)))

    bench.signature = Signature(
        (
            *(TensorInput(name, "tracks", TRACKS, (name,)) for name in ("pt", "field", "slope")),
            *(TensorInput(n, "hits", HITS, (n,), RowRange.WHOLE) for n in ("charge", "scale", "track")),
            TensorInput("track_begin", "", BATCH_BEGIN_LAYOUT, ("batch_begin",), RowRange.BATCH_BEGIN),
        ),
        bench.signature.outputs,
        bench.signature.output_layout,
    )
    return write


@pytest.mark.parametrize("hits", [0, 1, 200])
@pytest.mark.parametrize("batch_size", [0, 1, 16])
@pytest.mark.parametrize("staged", [False, True])
def test_what_the_model_sees_whole_crosses_once_and_scalars_reach_both_slots(
    bench, tracks, hits, batch_size, staged
):
    tracks(hits)
    bench.run(ChargePerTrack(), batch_size=batch_size)
    expected = sha256_of_file(bench.predictions)
    proof = on_device(
        bench,
        model=ChargePerTrack(),
        batch_size=batch_size,
        chunk_rows=16,
        accelerator=FakeAccelerator(refusing(inputs=staged)),
    )
    assert sha256_of_file(bench.predictions) == expected
    assert proof.chunks == (1 if batch_size == 0 else -(-50 // proof.chunk_rows))
    assert proof.chunks > 2 or batch_size == 0
    blobs = sum(seen.blob_bytes for seen in proof.collections)
    assert proof.bytes_transferred_in == blobs + proof.bytes_made
    assert proof.bytes_copied_in == 0


class Neighbours(nn.Module):
    """Reads the same collection in slices and whole."""

    def forward(self, mine, everyone):
        return mine * everyone.sum()


def test_a_collection_that_is_sliced_and_seen_whole_crosses_once(bench, particles, particles_layout):
    particles(bench.events, 100)
    bench.signature = replace(
        bench.signature,
        inputs=(
            TensorInput("mine", "particles", particles_layout, ("eta",)),
            TensorInput("everyone", "particles", particles_layout, ("pt",), RowRange.WHOLE),
        ),
    )
    bench.run(Neighbours(), batch_size=16)
    expected = sha256_of_file(bench.predictions)
    proof = on_device(bench, model=Neighbours(), batch_size=16, chunk_rows=32)
    assert sha256_of_file(bench.predictions) == expected
    assert (proof.chunks, proof.bytes_transferred_in) == (4, proof.collections[0].blob_bytes)
    with pytest.raises(
        ModelError, match=r"model M, .*: its calls cannot be captured in a CUDA graph, because .* remove key"
    ):
        on_device(bench, model=Neighbours(), batch_size=16, chunk_rows=32, graphs=True)


@pytest.mark.parametrize("batch_size", [0, 16])
def test_all_copies_are_in_a_jobs_throughput_and_none_in_its_warm_up(bench, tracks, batch_size):
    tracks(200)
    accelerator = FakeAccelerator()
    accelerator.library.seconds_of_a_copy = 0.05
    proof = on_device(
        bench, model=ChargePerTrack(), batch_size=batch_size, chunk_rows=16, accelerator=accelerator
    )
    copies = len(accelerator.library.copies)
    assert copies == proof.transfers_in + proof.transfers_out >= 4
    assert proof.rows / proof.rows_per_second >= 0.05 * copies
    assert proof.warm_up_seconds < 0.05 * 3  # of the copies that come first
    assert proof.batch_seconds_total < 0.05 * copies


def test_scalars_that_are_not_shared_are_seen(bench, tracks, monkeypatch):
    tracks(200)
    bench.run(ChargePerTrack(), batch_size=16)
    expected = sha256_of_file(bench.predictions)
    monkeypatch.setattr(device_route, "scalar_regions", lambda _: ())
    on_device(bench, model=ChargePerTrack(), batch_size=16, chunk_rows=16)
    assert sha256_of_file(bench.predictions) != expected


# Integers


class Counted(nn.Module):
    """Integers, of which one row's is too large for the items."""

    def __init__(self, row=None, value=1 << 40, dtype=torch.int64):
        super().__init__()
        self.row, self.value, self.dtype = row, value, dtype

    def forward(self, number):
        values = number.to(torch.int64)
        if self.row is not None:
            values = torch.where(number == self.row, self.value, values)
        return values.to(self.dtype)


@pytest.fixture
def numbers(bench):
    """A file whose rows are numbered, and a signature of integers."""
    layout = Layout.of(Item("number", "int32"))
    with writing(bench.events, EVENTS, {"particles": layout.place(100)}, {}) as file:
        file.write("particles", "number", np.arange(100))
    bench.signature = Signature(
        (TensorInput("number", "particles", layout, ("number",)),),
        (TensorOutput("energy", ("energy",)),),
        Layout.of(Item("energy", "int32")),
    )


@pytest.mark.usefixtures("numbers")
def test_integers_in_range_are_stored(bench):
    on_device(bench, model=Counted(), batch_size=8, chunk_rows=4)
    assert np.array_equal(bench.written(), np.arange(100))


@pytest.mark.usefixtures("numbers")
@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("row", [0, 50, 99])
@pytest.mark.parametrize(
    ("value", "dtype", "named"),
    [
        (1 << 40, torch.int64, 1 << 40),
        (-(1 << 40), torch.int64, -(1 << 40)),
        (-1, torch.uint64, (1 << 64) - 1),
    ],
)
def test_an_integer_out_of_range_is_found_once_its_chunk_is_done(bench, graphs, row, value, dtype, named):
    with pytest.raises(ModelError, match=f"output 'energy' has the value {named}, and its items are int32"):
        on_device(bench, model=Counted(row, value, dtype), batch_size=5, chunk_rows=4, graphs=graphs)
    assert bench.leftovers() == []


# Too little memory


class Hungry(nn.Module):
    """Weighted, for so many rows at most; its error is in a cycle with its frame, as some of torch's are."""

    def __init__(self, rows, error=torch.OutOfMemoryError, text="CUDA out of memory."):
        super().__init__()
        self.rows, self.error, self.text = rows, error, text

    def forward(self, particles):
        if len(particles) > self.rows:
            error = self.error(self.text)
            raise error
        return (particles * particles.new_tensor([1.0, 10.0, 100.0])).sum(dim=1, keepdim=True)


CUBLAS = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"


@pytest.mark.parametrize("error", [(), (RuntimeError, CUBLAS)], ids=["allocator", "library"])
def test_a_call_that_memory_does_not_hold_is_halved_and_said_so(bench, particles, capsys, error):
    particles(bench.events, 300)
    proof = on_device(bench, model=Hungry(100, *error))
    np.testing.assert_allclose(bench.written(), bench.expected(), rtol=1e-6)
    assert (proof.chunk_rows_refused, proof.chunk_rows, proof.batches) == ((300, 150), 75, 4)
    assert proof.bytes_transferred_in == proof.collections[0].blob_bytes
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("warning: the memory of cpu does not hold 300 rows in calls of 300: ")
    assert first.endswith("; trying 150 rows")
    assert second.endswith("; trying 75 rows")


def test_before_another_try_all_memory_of_the_last_is_given_back(bench, particles, monkeypatch):
    particles(bench.events, 300)
    taken = []
    fresh = device_slots.bytes_on

    def noted(*arguments):
        memory = fresh(*arguments)
        taken.append(weakref.ref(memory))
        return memory

    class Asked(FakeAccelerator):
        def release_unused(self):
            assert [memory() for memory in taken] == [None] * len(taken)
            super().release_unused()

    for module in (device_slots, device_route):
        monkeypatch.setattr(module, "bytes_on", noted)
    accelerator = Asked()
    on_device(bench, model=Hungry(100), accelerator=accelerator)
    assert (accelerator.releases, len(taken)) == (3, 2 * (1 + 2 + 2))


def test_slots_that_memory_does_not_hold_are_halved_down_to_one_batch(bench, particles, monkeypatch):
    particles(bench.events, 300)
    bench.run(batch_size=10)
    expected = sha256_of_file(bench.predictions)
    fresh = device_slots.bytes_on

    def little(accelerator, stream, size):
        if size > limit:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return fresh(accelerator, stream, size)

    for module in (device_slots, device_route):
        monkeypatch.setattr(module, "bytes_on", little)
    limit = 5000
    accelerator = FakeAccelerator()
    proof = on_device(bench, batch_size=10, chunk_rows=200, accelerator=accelerator)
    assert (proof.chunk_rows_refused, proof.chunk_rows) == ((200,), 100)
    assert sha256_of_file(bench.predictions) == expected
    limit = 100
    with pytest.raises(
        OutOfDeviceMemoryError, match="does not hold 10 rows in calls of 10: give the variant a"
    ):
        on_device(bench, batch_size=10, chunk_rows=200, accelerator=accelerator)
    assert accelerator.library.locked == {}


def test_a_model_that_no_call_fits_is_an_error(bench, particles):
    particles(bench.events, 30)
    with pytest.raises(OutOfDeviceMemoryError, match="does not hold 7 rows in calls of 7"):
        on_device(bench, model=Hungry(6), batch_size=7)
    assert bench.leftovers() == []


# CUDA graphs


@pytest.mark.parametrize(
    ("rows", "in_chunk", "chunks", "captures"),
    [(20, 1, 2, 0), (25, 1, 3, 0), (30, 1, 3, 1), (40, 1, 4, 2), (120, 3, 4, 2), (290, 4, 8, 2)],
)
def test_full_chunks_are_captured_once_a_slot_and_give_the_same_bytes(
    bench, particles, capsys, rows, in_chunk, chunks, captures
):
    particles(bench.events, rows)
    bench.run(batch_size=10)
    expected = sha256_of_file(bench.predictions)
    accelerator = FakeAccelerator()
    proof = on_device(bench, batch_size=10, chunk_rows=40, accelerator=accelerator, graphs=True)
    assert sha256_of_file(bench.predictions) == expected
    assert (proof.chunk_rows, proof.chunks) == (10 * in_chunk, chunks)
    assert accelerator.captures == captures
    assert proof.calls_captured == in_chunk * captures
    assert proof.batches_replayed == in_chunk * max(0, rows // proof.chunk_rows - 2)
    assert proof.batches == len(proof.batch_seconds) == -(-rows // 10)
    assert ("'cuda_graphs' had no effect" in capsys.readouterr().err) == (captures == 0)


def test_graphs_that_are_never_replayed_are_told_with_the_remedy(bench, particles, capsys):
    particles(bench.events, 40)
    on_device(bench, graphs=True)
    assert capsys.readouterr().err == (
        f"warning: model M, variant plain, {bench.events}: key 'cuda_graphs' had no effect, because calls "
        "are replayed from the third full chunk on, and 40 rows in calls of 40 are 1: give the variant a "
        "batch_size that goes into the rows at least three times, or remove the key\n"
    )
    particles(bench.events, 0)
    on_device(bench, graphs=True)
    on_device(bench)
    assert capsys.readouterr().err == ""


def test_a_model_that_cannot_be_captured_is_told_so(bench, particles):
    particles(bench.events, 300)
    accelerator = FakeAccelerator()
    accelerator.capture_fails_with = RuntimeError("operation not permitted when stream is capturing\nmore")
    with pytest.raises(
        ModelError,
        match=r"captured in a CUDA graph \(operation not permitted when stream is capturing\): remove",
    ):
        on_device(bench, batch_size=10, chunk_rows=40, accelerator=accelerator, graphs=True)
    assert bench.leftovers() == []


def test_a_capture_that_memory_does_not_hold_is_tried_with_smaller_chunks(bench, particles):
    particles(bench.events, 300)
    accelerator = FakeAccelerator()
    accelerator.capture_fails_with = torch.OutOfMemoryError("CUDA out of memory.")
    with pytest.raises(OutOfDeviceMemoryError, match="does not hold 10 rows in calls of 10"):
        on_device(bench, batch_size=10, chunk_rows=40, accelerator=accelerator, graphs=True)
    assert bench.leftovers() == []
