"""One run of a model over mapped events into a mapped blob, with the measurement that proves how.

The invariant: whoever runs a model on events, to keep its predictions or to measure it, does so here; so
the same tensors reach it, watched in the same way, and outputs go into memory that the caller gave. Chunk by
chunk, rows are brought in, the model is called on their batches, and its outputs are taken out.
"""

import contextlib
import gc
import importlib.metadata
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from soaflow.errors import ModelError, OutOfDeviceMemoryError, SoaflowError
from soaflow.failures import reason_of
from soaflow.infer import process
from soaflow.infer.backends import Backend, CopyingBackend
from soaflow.infer.chunks import Chunk, ChunkPlan, needed_bytes
from soaflow.infer.gpu_proof import gpu_of_run
from soaflow.infer.places import Place, place_for
from soaflow.infer.proof import QUANTILES, RAW_TIMES_KEPT, CollectionProof, Proof
from soaflow.infer.routes import Route, Slot, Task
from soaflow.infer.tensors import check_layouts
from soaflow.infer.timers import Clock
from soaflow.infer.variants import Device, Variant
from soaflow.infer.witness import Watched, Witness
from soaflow.soa.signature import PREDICTION_COLLECTION, RowRange, Signature
from soaflow.soa.storage import EVENTS, FileHeader, MappedBlob, map_blob, read_header
from soaflow.soa.tensor_library import dtype_name

WARM_UP_CALLS = 2
"""TorchScript profiles its first call and optimises for the second."""


@dataclass(frozen=True, slots=True)
class MappedEvents:
    """The collections of an events file that a model reads, mapped.

    Parameters
    ----------
    header
        Of the file.
    file_bytes
        Its size.
    blobs
        By collection.
    cached_bytes
        Of each blob, what was in the page cache when it was mapped.
    rows
        Of the collection that the model slices.
    """

    header: FileHeader
    file_bytes: int
    blobs: Mapping[str, MappedBlob]
    cached_bytes: Mapping[str, int]
    rows: int

    @classmethod
    def of(cls, path: Path | str, signature: Signature, device: Device = Device.CPU) -> Self:
        """Map what a model of this signature reads of an events file.

        Parameters
        ----------
        path
            Of the file.
        signature
            Of the model.
        device
            Where the model runs: another than the CPU copies the file's own pages, and writes to none.

        Raises
        ------
        StorageError
            If the file is not valid, or has other layouts than the signature's.
        """
        header = read_header(path, EVENTS)
        check_layouts(header, signature)
        blobs = {
            name: map_blob(header, name, read_only=device is not Device.CPU) for name in signature.collections
        }
        cached = {
            name: process.page_cache_bytes(blob.address, blob.placement.blob_bytes)
            for name, blob in blobs.items()
        }
        rows = blobs[signature.sliced_collection].placement.rows
        return cls(header, Path(path).stat().st_size, blobs, cached, rows)


class ProvenRun:
    """A model, loaded, and the events that it is to run on.

    Parameters
    ----------
    load
        Verifies and loads the model, whose tensors' library is then that of the inputs.
    signature
        Of the model, with outputs as they are for what the variant computes in.
    events
        To run on.
    variant
        How to run; the backend that `load` returns must be the variant's.
    place
        Where the model runs; by default that of the variant's device.

    Raises
    ------
    DeviceError
        If the variant's device is not there.
    """

    def __init__(
        self,
        load: Callable[[], Backend],
        signature: Signature,
        events: MappedEvents,
        variant: Variant,
        place: Place | None = None,
    ) -> None:
        self._freed_memory_kept = process.keep_freed_memory()
        self._signature = signature
        self._events = events
        self._variant = variant
        started = time.perf_counter()
        self._backend = load()
        self._load_seconds = time.perf_counter() - started
        self._backend.tensors.run_single_threaded()
        self._threads = process.thread_count()
        self._place = place or place_for(variant.device, self._backend.tensors)

    def into(self, written: MappedBlob, *, label: str) -> Proof:
        """Run the model on the first rows of the events, as many as a blob has, and say how.

        A device whose memory does not hold a chunk gets chunks half as long, from the first row on.

        Parameters
        ----------
        written
            Where the outputs go; its layout is that of the signature's outputs.
        label
            Names the run in errors of the model.

        Raises
        ------
        ContractError
            If the inputs are not those that the artifact takes.
        ModelError
            If the model fails, or returns other outputs than the signature's.
        OutOfDeviceMemoryError
            If the device's memory does not hold one batch.
        DeviceError
            If the device's driver refuses something.
        """
        read = self._events.blobs[self._signature.sliced_collection].placement.layout
        variant = self._variant
        plan = self._place.plan(
            written.placement.rows,
            variant.batch_size,
            read,
            written.placement.layout,
            captured=variant.cuda_graphs,
        )
        refused: list[int] = []
        while True:
            try:
                return self._through(plan, written, label, refused)
            except OutOfDeviceMemoryError as error:
                smaller = plan.halved()
                if smaller is None:
                    raise
                print(f"warning: {error}; trying {smaller.chunk_rows} rows", file=sys.stderr)
            gc.collect()  # the error may be in a cycle, and its frames hold the memory of this try
            refused.append(plan.chunk_rows)
            plan = smaller

    def _through(self, plan: ChunkPlan, written: MappedBlob, label: str, refused: Sequence[int]) -> Proof:
        task = Task(self._signature, self._events.blobs, written, plan, graphs=self._variant.cuda_graphs)
        with _model_errors_naming(label), self._place.route(task) as route:
            watched = _watched(route, task.blobs, self._variant.device)
            loop = _Loop(self._backend, route, plan.chunks, Witness(watched, self._backend.copies))
            with _watching(self._backend, loop.witness), self._place.tensors.computing_only():
                loop.check_inputs()
                clocks = process.ProcessTimes.now()
                loop.warm_up()
                loop.run()
                passed = process.ProcessTimes.now().since(clocks)
            if task.graphs and plan.rows and not loop.batches_replayed:
                print(f"warning: {label}: {_no_replay(plan)}", file=sys.stderr)
            return self._proof(task, loop, passed, refused)

    def _proof(
        self, task: Task, loop: "_Loop", passed: process.ProcessTimes, refused: Sequence[int]
    ) -> Proof:
        events, variant, plan = self._events, self._variant, task.plan
        route, witness, crossings = loop.route, loop.witness, loop.route.crossings
        seconds, device_seconds = np.array(route.batch_seconds()), route.device_seconds()
        seen = witness.proofs()
        return Proof(
            variant=variant.name,
            backend=variant.backend.value,
            device=variant.device.value,
            dtype=variant.dtype,
            model_sha256=self._backend.source_sha256,
            torch_version=importlib.metadata.version("torch"),
            cpu_model=process.cpu_model(),
            gpu=gpu_of_run(variant),
            events_bytes=events.file_bytes,
            events_attributes=dict(events.header.attributes),
            output_layout_sha256=self._signature.output_layout.digest(),
            rows=plan.rows,
            batch_size=variant.batch_size,
            batches=len(seconds),
            chunk_rows=plan.chunk_rows,
            chunks=len(plan.chunks),
            chunk_rows_refused=tuple(refused),
            warm_up_calls=loop.warm_up_calls,
            calls_watched=witness.calls,
            calls_captured=loop.calls_captured,
            batches_replayed=loop.batches_replayed,
            inputs=seen,
            collections=tuple(self._collection_proof(name, plan.rows, route) for name in events.blobs),
            bytes_copied_in=sum(tensor.bytes_copied + tensor.bytes_copied_by_backend for tensor in seen),
            transfers_in=crossings.transfers_in,
            bytes_transferred_in=crossings.bytes_in,
            transfers_out=crossings.transfers_out,
            bytes_transferred_out=crossings.bytes_out,
            bytes_staged=crossings.bytes_staged,
            locking_seconds=crossings.locking_seconds,
            output_bytes=task.written.placement.blob_bytes,
            output_crossing=route.crossing[PREDICTION_COLLECTION].value,
            bytes_made=_bytes_made(route),
            threads_seen=max(self._threads, loop.threads),
            wall_seconds=passed.wall,
            cpu_seconds=passed.cpu,
            other_threads_cpu_seconds=passed.other_threads_cpu,
            freed_memory_kept=self._freed_memory_kept,
            peak_resident_bytes=process.peak_resident_bytes(),
            resident_file_bytes=process.resident_file_bytes(),
            clock=route.clock.value,
            batch_seconds=tuple(seconds.tolist()) if len(seconds) <= RAW_TIMES_KEPT else (),
            batch_seconds_quantiles=tuple(np.quantile(seconds, QUANTILES).tolist()) if len(seconds) else (),
            batch_seconds_total=float(seconds.sum()),
            storing_seconds_total=loop.storing_seconds if device_seconds is None else 0.0,
            device_seconds=device_seconds,
            load_seconds=self._load_seconds,
            warm_up_seconds=loop.warm_up_seconds,
            witness_seconds=witness.seconds,
            seconds_to_first_tensor=loop.first_tensor,
            seconds_to_first_result=loop.first_result,
        )

    def _collection_proof(self, name: str, rows: int, route: Route) -> CollectionProof:
        blob = self._events.blobs[name]
        size = blob.placement.blob_bytes
        whole = any(
            spec.collection == name and spec.rows is not RowRange.SLICED for spec in self._signature.inputs
        )
        return CollectionProof(
            name=name,
            layout_sha256=blob.placement.layout.digest(),
            rows=blob.placement.rows,
            blob_bytes=size,
            needed_bytes=size if whole else needed_bytes(blob.placement, rows),
            crossing=route.crossing[name].value,
            page_cache_bytes_before=self._events.cached_bytes[name],
            page_cache_bytes_after=process.page_cache_bytes(blob.address, size),
            touched_bytes=process.touched_bytes(blob.address, size),
        )


@contextlib.contextmanager
def _watching(backend: Backend, witness: Witness) -> Iterator[None]:
    """Stand a witness between a backend and its program, and in front of what it copies, for the block."""
    copying = backend if isinstance(backend, CopyingBackend) else None
    program, copy = backend.program, copying and copying.copy
    backend.program = witness.around(program)
    if copying and copy:
        copying.copy = witness.before_copy(copy)
    try:
        yield
    finally:
        backend.program = program
        if copying and copy:
            copying.copy = copy


def _no_replay(plan: ChunkPlan) -> str:
    full = plan.rows // plan.chunk_rows
    return (
        "key 'cuda_graphs' had no effect, because calls are replayed from the third full chunk on, and "
        f"{plan.rows} rows in calls of {plan.batch_size} are {full}: give the variant a batch_size that goes "
        "into the rows at least three times, or remove the key"
    )


@contextlib.contextmanager
def _model_errors_naming(label: str) -> Iterator[None]:
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{label}: {error}") from error


def _bytes_made(route: Route) -> int:
    """Return the size of the blob of batch beginnings, if there is one."""
    inputs = route.slots[0].inputs
    return next((tensor.blob.numel() for tensor in inputs if tensor.spec.rows is RowRange.BATCH_BEGIN), 0)


def _watched(route: Route, blobs: Mapping[str, MappedBlob], device: Device) -> list[Watched]:
    """Say where each input's tensors must be: in the map itself on the CPU, in the slots' blobs elsewhere."""
    found = []
    for across_slots in zip(*(slot.inputs for slot in route.slots), strict=True):
        tensor = across_slots[0]
        mapped = blobs.get(tensor.spec.collection) if device is Device.CPU else None
        found.append(
            Watched(
                name=tensor.spec.name,
                collection=tensor.spec.collection,
                rows=tensor.spec.rows,
                plan=tensor.plan,
                blob_addresses=(
                    (mapped.address,) if mapped else tuple(each.blob.data_ptr() for each in across_slots)
                ),
                blob_bytes=tensor.blob.numel(),
                in_chunks=tensor.in_chunks,
            )
        )
    return found


class _Loop:
    """Calls the model batch by batch, and keeps the time of each without that of the witness."""

    def __init__(self, backend: Backend, route: Route, chunks: Sequence[Chunk], witness: Witness) -> None:
        self._backend = backend
        self._chunks = chunks
        self.route = route
        self.witness = witness
        self.first_tensor = process.seconds_since_process_start()
        self.threads = 1
        # The host would take as long to count as to give a device a call, and there no thread is judged.
        self._counts_threads = route.clock is Clock.HOST
        self.storing_seconds = 0.0
        self.calls_captured = 0
        self.batches_replayed = 0
        self.warm_up_calls = 0
        self.warm_up_seconds = 0.0
        self.first_result: float | None = None

    def check_inputs(self) -> None:
        """Check the contract for the first and the last batch, from which all others differ in place only."""
        if not self._chunks:
            return
        first, last = self._chunks[0], self._chunks[-1]
        batches = {first.batch_of(0): first, last.batch_of(last.end - 1): last}
        for batch, chunk in batches.items():
            inputs = self.route.slot(chunk).inputs
            self._backend.check([tensor.batch(*batch, chunk.begin) for tensor in inputs])

    def warm_up(self) -> None:
        """Run the model on rows of the first batch, whose outputs that batch will replace."""
        if not self._chunks:
            return
        chunk = self._chunks[0]
        slot = self.route.bring_in(chunk)
        index, begin, end = next(chunk.batches())
        end = min(end, self.route.warm_up_rows or end)
        self.route.synchronize()  # what has crossed by now would have to without a warm-up too
        started = time.perf_counter()
        with slot.computing():
            for _ in range(WARM_UP_CALLS):
                self._call(slot, chunk, index, begin, end)
                self.warm_up_calls += 1
        self.route.synchronize()
        self.warm_up_seconds = time.perf_counter() - started
        self._note_threads()

    def run(self) -> None:
        """Bring in each chunk, call the model on its batches, and take its outputs out."""
        for chunk in self._chunks:
            slot = self.route.bring_in(chunk)
            with slot.computing():
                self._call_batches(slot, chunk)
            self.route.take_out(chunk)
        self.route.finish()
        self._note_threads()
        self._note_first_result()

    def _call_batches(self, slot: Slot, chunk: Chunk) -> None:
        if replay := slot.replay(chunk, lambda: self._capture(slot, chunk)):
            batches = sum(1 for _ in chunk.batches())
            slot.timer.start()
            replay()
            slot.timer.stop(batches=batches)
            self.batches_replayed += batches
            return
        timer, witness = slot.timer, self.witness
        for index, begin, end in chunk.batches():
            watching = witness.seconds
            timer.start()
            self.storing_seconds += self._call(slot, chunk, index, begin, end)
            timer.stop(witness.seconds - watching)
            if self._counts_threads:
                self._note_threads()
            if self.first_result is None:
                self._note_first_result()

    def _capture(self, slot: Slot, chunk: Chunk) -> None:
        for index, begin, end in chunk.batches():
            self._call(slot, chunk, index, begin, end)
            self.calls_captured += 1

    def _note_threads(self) -> None:
        self.threads = max(self.threads, process.thread_count())

    def _note_first_result(self) -> None:
        """Note the time at which the time of the first batch is known: then its outputs are there."""
        if self.first_result is None and len(self.route.batch_seconds()):
            self.first_result = process.seconds_since_process_start()

    def _call(self, slot: Slot, chunk: Chunk, index: int, begin: int, end: int) -> float:
        """Run the model on a batch, outputs stored, and return what storing took after its return."""
        first = chunk.begin
        tensors = [tensor.batch(index, begin, end, first) for tensor in slot.inputs]
        self.witness.expect(index, begin, end, first, slot.number)
        try:
            return self._backend.run_batch(tensors, slot.outputs, begin - first, end - first)
        except SoaflowError:
            raise
        except Exception as error:
            shapes = ", ".join(
                f"{tensor.spec.name} {list(values.shape)} {dtype_name(values)}"
                for tensor, values in zip(slot.inputs, tensors, strict=True)
            )
            raise ModelError(
                f"the model fails on rows {begin} to {end} with the inputs {shapes}: {reason_of(error)}; "
                "make the model and the items of its inputs fit each other"
            ) from error
