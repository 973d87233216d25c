"""One run of a model over mapped events into a mapped blob, with the measurement that proves how.

The invariant: whoever runs a model on events, to keep its predictions or to measure it, does so here; so
the same tensors reach it, watched in the same way, and outputs go into memory that the caller gave.
"""

import contextlib
import importlib.metadata
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from soaflow.errors import ModelError, SoaflowError
from soaflow.infer import process
from soaflow.infer.backends import Backend, CopyingBackend
from soaflow.infer.devices import Place, place_for
from soaflow.infer.proof import QUANTILES, RAW_TIMES_KEPT, CollectionProof, Proof
from soaflow.infer.tensors import InputTensor, Outputs, check_layouts, input_tensors
from soaflow.infer.variants import Device, Variant
from soaflow.infer.witness import Watched, Witness
from soaflow.soa.batches import batch_ranges
from soaflow.soa.signature import RowRange, Signature
from soaflow.soa.storage import EVENTS, FileHeader, MappedBlob, map_blob, read_header
from soaflow.soa.tensor_library import dtype_name

WARM_UP_CALLS = 2
"""TorchScript profiles its first call and optimises for the second."""

WARM_UP_ROWS = 1024
"""The most rows of a warm-up call, so that it is cheap where a whole shard is one batch."""


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
    def of(cls, path: Path | str, signature: Signature) -> Self:
        """Map what a model of this signature reads of an events file.

        Raises
        ------
        StorageError
            If the file is not valid, or has other layouts than the signature's.
        """
        header = read_header(path, EVENTS)
        check_layouts(header, signature)
        blobs = {name: map_blob(header, name) for name in signature.collections}
        cached = {
            name: process.page_cache_bytes(blob.address, blob.placement.blob_bytes)
            for name, blob in blobs.items()
        }
        rows = blobs[signature.sliced_collection].placement.rows
        return cls(header, Path(path).stat().st_size, blobs, cached, rows)


class ProvenRun:
    """A model, loaded, with the tensors of its inputs over all rows.

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
        self._inputs = input_tensors(signature, events.blobs, variant.batch_size, self._place)
        self._first_tensor = process.seconds_since_process_start()

    def into(self, written: MappedBlob, *, label: str) -> Proof:
        """Run the model on the first rows of the events, as many as a blob has, and say how.

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
        """
        rows, batch_size = written.placement.rows, self._variant.batch_size
        blobs = self._events.blobs
        watched = [_watched(tensor, blobs, self._variant.device) for tensor in self._inputs]
        witness = Witness(watched, self._backend.copies)
        outputs = Outputs(self._signature, written, self._place)
        loop = _Loop(self._backend, self._inputs, outputs, self._place, witness)
        with (
            _model_errors_naming(label),
            _watching(self._backend, witness),
            self._place.tensors.computing_only(),
        ):
            loop.check_inputs(rows, batch_size)
            clocks = process.ProcessTimes.now()
            loop.warm_up(rows, batch_size)
            loop.run(rows, batch_size)
            passed = process.ProcessTimes.now().since(clocks)
        return self._proof(rows, loop, witness, passed)

    def _proof(self, rows: int, loop: "_Loop", witness: Witness, passed: process.ProcessTimes) -> Proof:
        events, variant, place = self._events, self._variant, self._place
        seconds = np.array(loop.seconds)
        seen = witness.proofs()
        return Proof(
            variant=variant.name,
            backend=variant.backend.value,
            device=variant.device.value,
            dtype=variant.dtype,
            model_sha256=self._backend.source_sha256,
            torch_version=importlib.metadata.version("torch"),
            cpu_model=process.cpu_model(),
            events_bytes=events.file_bytes,
            events_attributes=dict(events.header.attributes),
            output_layout_sha256=self._signature.output_layout.digest(),
            rows=rows,
            batch_size=variant.batch_size,
            batches=len(seconds),
            warm_up_calls=loop.warm_up_calls,
            calls_watched=witness.calls,
            inputs=seen,
            collections=tuple(
                _collection_proof(name, blob, events.cached_bytes[name])
                for name, blob in events.blobs.items()
            ),
            bytes_copied_in=sum(tensor.bytes_copied + tensor.bytes_copied_by_backend for tensor in seen),
            transfers_in=place.transfers_in,
            bytes_transferred_in=place.bytes_in,
            transfers_out=place.transfers_out,
            bytes_transferred_out=place.bytes_out,
            bytes_made=sum(i.blob.numel() for i in self._inputs if i.spec.rows is RowRange.BATCH_BEGIN),
            threads_seen=max(self._threads, loop.threads),
            wall_seconds=passed.wall,
            cpu_seconds=passed.cpu,
            other_threads_cpu_seconds=passed.other_threads_cpu,
            freed_memory_kept=self._freed_memory_kept,
            peak_resident_bytes=process.peak_resident_bytes(),
            resident_file_bytes=process.resident_file_bytes(),
            batch_seconds=tuple(seconds.tolist()) if len(seconds) <= RAW_TIMES_KEPT else (),
            batch_seconds_quantiles=tuple(np.quantile(seconds, QUANTILES).tolist()) if len(seconds) else (),
            batch_seconds_total=float(seconds.sum()),
            storing_seconds_total=loop.storing_seconds,
            load_seconds=self._load_seconds,
            warm_up_seconds=loop.warm_up_seconds,
            witness_seconds=witness.seconds,
            seconds_to_first_tensor=self._first_tensor,
            seconds_to_first_result=loop.first_result,
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


@contextlib.contextmanager
def _model_errors_naming(label: str) -> Iterator[None]:
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{label}: {error}") from error


def _collection_proof(name: str, blob: MappedBlob, cached_before: int) -> CollectionProof:
    size = blob.placement.blob_bytes
    return CollectionProof(
        name=name,
        layout_sha256=blob.placement.layout.digest(),
        rows=blob.placement.rows,
        blob_bytes=size,
        page_cache_bytes_before=cached_before,
        page_cache_bytes_after=process.page_cache_bytes(blob.address, size),
        touched_bytes=process.touched_bytes(blob.address, size),
    )


def _watched(tensor: InputTensor, blobs: Mapping[str, MappedBlob], device: Device) -> Watched:
    """Say where an input's tensors must be: in the map itself on the CPU, in the moved blob elsewhere."""
    mapped = blobs.get(tensor.spec.collection)
    return Watched(
        name=tensor.spec.name,
        collection=tensor.spec.collection,
        rows=tensor.spec.rows,
        plan=tensor.plan,
        blob_address=mapped.address if mapped and device is Device.CPU else tensor.blob.data_ptr(),
        blob_bytes=tensor.blob.numel(),
    )


class _Loop:
    """Calls the model batch by batch, and keeps the time of each without that of the witness."""

    def __init__(
        self,
        backend: Backend,
        inputs: Sequence[InputTensor],
        outputs: Outputs,
        place: Place,
        witness: Witness,
    ) -> None:
        self._backend = backend
        self._witness = witness
        self._inputs = inputs
        self._outputs = outputs
        self._place = place
        self.threads = 1
        self.seconds = array("d")  # a list would take four times as much for each of many batches
        self.storing_seconds = 0.0
        self.warm_up_calls = 0
        self.warm_up_seconds = 0.0
        self.first_result: float | None = None

    def check_inputs(self, rows: int, batch_size: int) -> None:
        """Check the contract for the first and the last batch, from which all others differ in place only."""
        step = batch_size or rows
        for begin in sorted({0, (rows - 1) // step * step}) if rows else ():
            index, end = begin // step, min(begin + step, rows)
            self._backend.check([tensor.batch(index, begin, end) for tensor in self._inputs])

    def warm_up(self, rows: int, batch_size: int) -> None:
        """Run the model on the first rows, whose outputs the first batch will replace."""
        end = min(rows, batch_size or rows, WARM_UP_ROWS)
        if not end:
            return
        started = time.perf_counter()
        for _ in range(WARM_UP_CALLS):
            self._call(0, 0, end)
            self.warm_up_calls += 1
        self._place.synchronize()
        self.warm_up_seconds = time.perf_counter() - started
        self.threads = max(self.threads, process.thread_count())

    def run(self, rows: int, batch_size: int) -> None:
        """Call the model on every batch and write its outputs."""
        for index, (begin, end) in enumerate(batch_ranges(rows, batch_size)):
            watching = self._witness.seconds
            started = time.perf_counter()
            self.storing_seconds += self._call(index, begin, end)
            self._place.synchronize()
            watching -= self._witness.seconds
            self.seconds.append(time.perf_counter() - started + watching)
            self.threads = max(self.threads, process.thread_count())
            if self.first_result is None:
                self.first_result = process.seconds_since_process_start()
        self._outputs.finish()

    def _call(self, index: int, begin: int, end: int) -> float:
        """Run the model on a batch, outputs stored, and return what storing took after its return."""
        tensors = [tensor.batch(index, begin, end) for tensor in self._inputs]
        self._witness.expect(index, begin, end)
        try:
            return self._backend.run_batch(tensors, self._outputs, begin, end)
        except SoaflowError:
            raise
        except Exception as error:
            shapes = ", ".join(
                f"{tensor.spec.name} {list(values.shape)} {dtype_name(values)}"
                for tensor, values in zip(self._inputs, tensors, strict=True)
            )
            raise ModelError(
                f"the model fails on rows {begin} to {end} with the inputs {shapes}: {_reason(error)}; "
                "make the model and the items of its inputs fit each other"
            ) from error


def _reason(error: Exception) -> str:
    """Return the one line that tells: TorchScript puts it last, under its own traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1] if lines[0].startswith("The following operation failed") else lines[0]
