"""One inference job: a model in one variant over one events file, on one thread, without a copy unsaid.

The invariant: predictions and proof appear together, after the job's own measurement has borne out
its claims; in any error neither does. The input file is mapped, never read. What a variant computes in
float64 is written in float64, whatever the declared outputs: the reference is never rounded.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from soaflow.errors import ModelError, SoaflowError
from soaflow.files import replacing, write_json
from soaflow.infer import process
from soaflow.infer.backends import Backend, CopyingBackend
from soaflow.infer.devices import Place, place_for
from soaflow.infer.proof import QUANTILES, RAW_TIMES_KEPT, CollectionProof, Proof, judge_proof
from soaflow.infer.tensors import InputTensor, Outputs, check_layouts, input_tensors
from soaflow.infer.variants import Device, Variant
from soaflow.infer.witness import Watched, Witness
from soaflow.soa.batches import batch_ranges
from soaflow.soa.layout import Placement
from soaflow.soa.signature import PREDICTION_COLLECTION, RowRange, Signature
from soaflow.soa.storage import EVENTS, PREDICTIONS, Attribute, MappedBlob, map_blob, mapping_new, read_header
from soaflow.threads import run_single_threaded

WARM_UP_CALLS = 2
"""TorchScript profiles its first call and optimises for the second."""

WARM_UP_ROWS = 1024
"""The most rows of a warm-up call, so that it is cheap where a whole shard is one batch."""


def run_job(
    load: Callable[[], Backend],
    signature: Signature,
    events_path: Path | str,
    predictions_path: Path | str,
    proof_path: Path | str,
    *,
    variant: Variant,
    attributes: Mapping[str, Attribute],
    place: Place | None = None,
) -> Proof:
    """Run a model over all rows of an events file, and prove how.

    Parameters
    ----------
    load
        Verifies and loads the model; called after the file has been checked.
    signature
        Of the model, as declared.
    events_path
        The file to read.
    predictions_path, proof_path
        The files to write: the outputs by row, and the measurement as JSON. Floating outputs have the
        declared dtypes, or float64 if the variant computes in it.
    variant
        How to run; the backend that `load` returns must be the variant's.
    attributes
        Of the predictions file, such as dataset, shard and model. The variant's name, its dtype, the
        version of torch and the SHA-256 of the input layouts are added.
    place
        Where the model runs; by default that of the variant's device.

    Returns
    -------
    Proof
        What `proof_path` holds.

    Raises
    ------
    StorageError
        If the events file is not valid or has other layouts than the signature's.
    DeviceError
        If the variant's device is not there.
    ArtifactError, ContractError
        From `load` and from the backend.
    ModelError
        If the model fails, or returns other outputs than the signature's.
    ProofError
        If the measurement contradicts what a job claims.
    OutputError
        If an output cannot be written.
    """
    run_single_threaded()
    freed_memory_kept = process.keep_freed_memory()
    threads = process.thread_count()
    if variant.dtype == "float64":
        signature = signature.with_float64_outputs()
    place = place or place_for(variant.device)
    header = read_header(events_path, EVENTS)
    check_layouts(header, signature)
    events_bytes = Path(events_path).stat().st_size
    blobs = {name: map_blob(header, name) for name in signature.collections}
    rows = blobs[signature.sliced_collection].placement.rows
    cached = {name: process.page_cache_bytes(b.address, b.placement.blob_bytes) for name, b in blobs.items()}
    inputs = input_tensors(signature, blobs, variant.batch_size, place)
    first_tensor = process.seconds_since_process_start()

    started = time.perf_counter()
    backend = load()
    load_seconds = time.perf_counter() - started
    watched = [_watched(tensor, blobs, variant.device) for tensor in inputs]
    witness = Witness(watched, backend.copies)
    if isinstance(backend, CopyingBackend):
        backend.copy = witness.before_copy(backend.copy)
    backend.program = witness.around(backend.program)
    threads = max(threads, process.thread_count())

    placements = {PREDICTION_COLLECTION: signature.output_layout.place(rows)}
    named = {
        **attributes,
        "variant": variant.name,
        "computing_dtype": variant.dtype,
        "torch_version": str(torch.__version__),
        **{f"{name}_layout_sha256": blob.placement.layout.digest() for name, blob in blobs.items()},
    }
    with (
        _model_errors_naming(f"model {attributes.get('model', '')}, variant {variant.name}, {events_path}"),
        _written_together(predictions_path, proof_path, placements, named) as (written, temporary_proof),
        torch.inference_mode(),
    ):
        loop = _Loop(backend, inputs, Outputs(signature, written, place), place, witness)
        loop.check_inputs(rows, variant.batch_size)
        clocks = process.ProcessTimes.now()
        loop.warm_up(rows, variant.batch_size)
        loop.run(rows, variant.batch_size)
        passed = process.ProcessTimes.now().since(clocks)
        seconds = np.array(loop.seconds)
        seen = witness.proofs()
        proof = Proof(
            variant=variant.name,
            backend=variant.backend.value,
            device=variant.device.value,
            dtype=variant.dtype,
            model_sha256=backend.source_sha256,
            torch_version=str(torch.__version__),
            cpu_model=process.cpu_model(),
            events_bytes=events_bytes,
            events_attributes=dict(header.attributes),
            output_layout_sha256=signature.output_layout.digest(),
            rows=rows,
            batch_size=variant.batch_size,
            batches=len(seconds),
            warm_up_calls=loop.warm_up_calls,
            calls_watched=witness.calls,
            inputs=seen,
            collections=tuple(_collection_proof(name, blobs[name], cached[name]) for name in blobs),
            bytes_copied_in=sum(tensor.bytes_copied + tensor.bytes_copied_by_backend for tensor in seen),
            transfers_in=place.transfers_in,
            bytes_transferred_in=place.bytes_in,
            transfers_out=place.transfers_out,
            bytes_transferred_out=place.bytes_out,
            bytes_made=sum(i.blob.numel() for i in inputs if i.spec.rows is RowRange.BATCH_BEGIN),
            threads_seen=max(threads, loop.threads),
            wall_seconds=passed.wall,
            cpu_seconds=passed.cpu,
            other_threads_cpu_seconds=passed.other_threads_cpu,
            freed_memory_kept=freed_memory_kept,
            peak_resident_bytes=process.peak_resident_bytes(),
            resident_file_bytes=process.resident_file_bytes(),
            batch_seconds=tuple(seconds.tolist()) if len(seconds) <= RAW_TIMES_KEPT else (),
            batch_seconds_quantiles=tuple(np.quantile(seconds, QUANTILES).tolist()) if len(seconds) else (),
            batch_seconds_total=float(seconds.sum()),
            storing_seconds_total=loop.storing_seconds,
            load_seconds=load_seconds,
            warm_up_seconds=loop.warm_up_seconds,
            witness_seconds=witness.seconds,
            seconds_to_first_tensor=first_tensor,
            seconds_to_first_result=loop.first_result,
        )
        judge_proof(proof, str(predictions_path))
        write_json(temporary_proof, proof.to_mapping())
    return proof


@contextlib.contextmanager
def _written_together(
    predictions_path: Path | str,
    proof_path: Path | str,
    placements: Mapping[str, Placement],
    attributes: Mapping[str, Attribute],
) -> Iterator[tuple[MappedBlob, Path]]:
    """Give the mapped predictions and a path for the proof: both appear after the block, or neither."""
    appeared = False
    try:
        with replacing(proof_path) as temporary_proof:
            with mapping_new(predictions_path, PREDICTIONS, placements, attributes) as written:
                yield written[PREDICTION_COLLECTION], temporary_proof
            appeared = True
    except BaseException:
        if appeared:
            Path(predictions_path).unlink(missing_ok=True)
        raise


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
        self.seconds: list[float] = []
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
                f"{tensor.spec.name} {list(values.shape)} {str(values.dtype).removeprefix('torch.')}"
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
