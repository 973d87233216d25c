"""What an inference job measured of itself, and whether that bears out what it claims.

The claims: on the CPU every tensor that reached the model was a view of a mapped input file, at the
place that its items and rows have there, nothing was copied on the way in but what the backend says that it
copies, and one thread did all the work. On another device every byte of an input blob that the rows need went
over once, and every byte of the outputs came back once. The measurement is kept whole; judging it is a
function of the measurement.

Addresses are relative to the start of their blob, and times are of one run: a proof says how a job
ran and is not reproducible to the byte.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from soaflow.errors import ProofError, StorageError
from soaflow.files import read_json
from soaflow.infer.gpu_proof import GpuProof
from soaflow.infer.variants import Device

PROOF_VERSION = 6
"""Version of the keys of a proof file."""

RAW_TIMES_KEPT = 1000
"""Up to so many batches every batch's time is kept; of more, only quantiles."""

QUANTILES = (0.0, 0.16, 0.5, 0.84, 0.99, 1.0)
"""Of the time of a batch; 0.16 and 0.84 bound the central 68 %."""

_OTHER_THREADS_FRACTION = 0.01
_OTHER_THREADS_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class InputProof:
    """Where the tensors of one input were, over all calls.

    Parameters
    ----------
    name
        Of the input.
    collection
        Whose blob they must be views of; empty for an input that the job makes itself.
    tensors
        How many were seen reaching the model.
    blob_bytes
        Size of that blob where the model runs: on a device, of one chunk's rows unless it crossed whole.
    lowest_offset, highest_offset
        First byte and end of all tensors that were views, relative to the blob's start; 0 and 0 when
        none of them held a value.
    bytes_copied
        Of tensors that were not views of that blob, where the backend says nothing of a copy.
    tensors_misplaced
        Tensors in that blob at another place, or of other sizes or strides, than the items and rows of
        their call have there.
    bytes_declared
        Of the tensors that the backend was given, if it says that it copies this input; else 0.
    bytes_copied_by_backend
        Of the copies that reached the model, if it says so; must be `bytes_declared`.
    """

    name: str
    collection: str
    tensors: int
    blob_bytes: int
    lowest_offset: int
    highest_offset: int
    bytes_copied: int
    tensors_misplaced: int
    bytes_declared: int = 0
    bytes_copied_by_backend: int = 0


@dataclass(frozen=True, slots=True)
class CollectionProof:
    """How much of one input collection's blob was in memory.

    Parameters
    ----------
    name
        Of the collection.
    layout_sha256
        Digest of its layout.
    rows, blob_bytes
        Its size.
    needed_bytes
        Of the blob that the run's rows need: all of it, if they are all its rows or the model sees it whole.
    crossing
        How it got to where the model runs: `soaflow.infer.transfers.Crossing`.
    page_cache_bytes_before, page_cache_bytes_after
        In the page cache before the first batch and after the last, whoever brought them there.
    touched_bytes
        Pages mapped in by this process after the last batch.
    """

    name: str
    layout_sha256: str
    rows: int
    blob_bytes: int
    needed_bytes: int
    crossing: str
    page_cache_bytes_before: int
    page_cache_bytes_after: int
    touched_bytes: int


@dataclass(frozen=True, slots=True)
class Proof:
    """All that a job measured of itself.

    Parameters
    ----------
    variant, backend, device, dtype
        How the model ran.
    model_sha256
        Of the artifact's file, or of the weights' for the eager backend; empty for a model made in memory.
    torch_version, cpu_model
        That it ran with and on.
    gpu
        The GPU, and the variant's settings for it; None on the CPU.
    events_bytes, events_attributes
        Size and attributes (dataset, shard) of the events file, which is too large to be digested.
    output_layout_sha256
        Digest of the predictions' layout.
    rows, batch_size, batches
        What it ran on; a batch size of 0 is all rows in one batch.
    chunk_rows, chunks
        Rows that were where the model runs at once, and in how many such chunks.
    chunk_rows_refused
        Rows of chunks that the device's memory did not hold, in the order in which they were tried; the run
        then began again with half of them.
    warm_up_calls
        Calls before the first batch, which no time counts.
    calls_watched
        Calls whose tensors were seen reaching the model; must be the warm-up calls, the captured ones and
        the batches that were not replayed.
    calls_captured, batches_replayed
        Calls that were captured in a CUDA graph without being made, and batches that were run by one.
    inputs, collections
        By input tensor and by collection of the events file.
    bytes_copied_in
        Sum over the inputs, of what the backend says it copies too.
    transfers_in, bytes_transferred_in, transfers_out, bytes_transferred_out
        Copies to another device and back, and their bytes; on another device these must be what the
        collections need, with `bytes_made`, and `output_bytes`.
    bytes_staged
        That the host copied beside that, to and from buffers that the device reaches.
    locking_seconds
        Time in which pages were locked for a device before the first batch; not part of `wall_seconds`.
    output_bytes, output_crossing
        Size of the predictions' blob, and how it got to its map.
    bytes_made
        Of the blob of batch beginnings that the job makes for models that ask for it.
    threads_seen
        The most threads the process had: at the start, after loading, after the warm-up and at the end, and
        on the CPU after each call.
    wall_seconds, cpu_seconds, other_threads_cpu_seconds
        Of the warm-up and all batches, and on a device of all copies; CPU time of all threads, and of all but
        the job's own.
    freed_memory_kept
        Whether the allocator took the settings of `soaflow.infer.process.keep_freed_memory`.
    peak_resident_bytes, resident_file_bytes
        Of the whole process, libraries included.
    clock
        What the times of batches were read from: `soaflow.infer.timers.Clock`.
    batch_seconds
        Time of each batch, slicing the views and writing the outputs included, without the witness; on a
        device from when its stream comes to the batch until it has done it, and for batches that were
        replayed the mean of their chunk. Empty for more than `RAW_TIMES_KEPT` batches.
    batch_seconds_quantiles
        At `QUANTILES`; empty without batches.
    batch_seconds_total
        Sum over all batches.
    storing_seconds_total
        What of it the copy of the outputs into the file took, with the checks of their shape and range; 0
        for an artifact that stores them there itself, and on a device, where they are part of the batch.
    device_seconds
        In which the device ran some batch, batches side by side counted once; None on the CPU.
    load_seconds, warm_up_seconds
        Time to verify and load the model, and of the warm-up calls, without the copies before them.
    witness_seconds
        That looking at the tensors of all calls took.
    seconds_to_first_tensor, seconds_to_first_result
        From the start of the process until the input tensors were there, and until the outputs of the
        first batch were written; None without rows.
    """

    variant: str
    backend: str
    device: str
    dtype: str
    model_sha256: str
    torch_version: str
    cpu_model: str
    gpu: GpuProof | None
    events_bytes: int
    events_attributes: dict[str, str | int | float]
    output_layout_sha256: str
    rows: int
    batch_size: int
    batches: int
    chunk_rows: int
    chunks: int
    chunk_rows_refused: tuple[int, ...]
    warm_up_calls: int
    calls_watched: int
    calls_captured: int
    batches_replayed: int
    inputs: tuple[InputProof, ...]
    collections: tuple[CollectionProof, ...]
    bytes_copied_in: int
    transfers_in: int
    bytes_transferred_in: int
    transfers_out: int
    bytes_transferred_out: int
    bytes_staged: int
    locking_seconds: float
    output_bytes: int
    output_crossing: str
    bytes_made: int
    threads_seen: int
    wall_seconds: float
    cpu_seconds: float
    other_threads_cpu_seconds: float
    freed_memory_kept: bool
    peak_resident_bytes: int
    resident_file_bytes: int
    clock: str
    batch_seconds: tuple[float, ...]
    batch_seconds_quantiles: tuple[float, ...]
    batch_seconds_total: float
    storing_seconds_total: float
    device_seconds: float | None
    load_seconds: float
    warm_up_seconds: float
    witness_seconds: float
    seconds_to_first_tensor: float
    seconds_to_first_result: float | None

    @property
    def rows_per_second(self) -> float | None:
        """Rows over the time that they took; None without rows.

        On the CPU that is the time of all batches. On a device it is the wall time without the warm-up calls,
        because rows cross beside the batches: copies, staging and what the witness takes are in it.
        """
        on_cpu = self.device == Device.CPU
        seconds = self.batch_seconds_total if on_cpu else self.wall_seconds - self.warm_up_seconds
        return self.rows / seconds if self.rows and seconds > 0 else None

    @property
    def cpu_over_wall(self) -> float | None:
        """CPU time of all threads over wall time; about 1 for one busy thread, None without rows."""
        return self.cpu_seconds / self.wall_seconds if self.wall_seconds else None

    @property
    def bytes_declared(self) -> int:
        """Bytes that the backend says it copies on the way in."""
        return sum(seen.bytes_declared for seen in self.inputs)

    def describe(self) -> str:
        """Return what a person at a terminal wants to know of the job, in one line."""
        parts = [f"{self.rows} rows in {self.batches} {'batch' if self.batches == 1 else 'batches'}"]
        if self.rows_per_second is not None:
            parts.append(f"{self.rows_per_second:,.0f} rows/s")
        if self.seconds_to_first_result is not None:
            parts.append(f"first result {self.seconds_to_first_result:.2f} s after the process began")
        declared = f" by {self.backend}, as declared" if self.bytes_declared else ""
        parts.append(f"{self.bytes_copied_in} bytes copied on the way in{declared}")
        if self.transfers_in:
            tried = ", ".join(map(str, self.chunk_rows_refused))
            refused = f", after {tried} were too many" if tried else ""
            chunks = "1 chunk" if self.chunks == 1 else f"{self.chunks} chunks of {self.chunk_rows} rows"
            parts.append(f"{chunks}{refused}, {self.bytes_staged} bytes staged")
        threads = "1 thread" if self.threads_seen == 1 else f"{self.threads_seen} threads"
        return ", ".join([*parts, threads])

    def to_mapping(self) -> dict[str, Any]:
        """Return the proof as plain JSON values, with the derived figures."""
        return {
            "proof_version": PROOF_VERSION,
            "quantiles": list(QUANTILES),
            "rows_per_second": self.rows_per_second,
            "cpu_over_wall": self.cpu_over_wall,
            **asdict(self),
        }

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any]) -> Self:
        """Make a proof from what `to_mapping` returned.

        Raises
        ------
        StorageError
            If it is of another version, or a key is missing or unknown.
        """
        derived = ("proof_version", "quantiles", "rows_per_second", "cpu_over_wall")
        try:
            if entry["proof_version"] != PROOF_VERSION:
                raise StorageError(
                    f"the proof has version {entry['proof_version']}, and this soaflow reads version "
                    f"{PROOF_VERSION}: run the job again"
                )
            fields = {key: value for key, value in entry.items() if key not in derived}
            fields["gpu"] = GpuProof(**entry["gpu"]) if entry["gpu"] is not None else None
            fields["inputs"] = tuple(InputProof(**value) for value in entry["inputs"])
            fields["collections"] = tuple(CollectionProof(**value) for value in entry["collections"])
            fields["chunk_rows_refused"] = tuple(entry["chunk_rows_refused"])
            fields["batch_seconds"] = tuple(entry["batch_seconds"])
            fields["batch_seconds_quantiles"] = tuple(entry["batch_seconds_quantiles"])
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise StorageError(f"the proof is damaged ({error}): run the job again") from error


def read_proof(path: Path | str) -> Proof:
    """Read a proof.

    Raises
    ------
    StorageError
        If the file is not there, is not JSON or is not a proof.
    """
    entry = read_json(path)
    if not isinstance(entry, dict):
        raise StorageError(f"{path} is JSON but not a proof: name a proof file")
    try:
        return Proof.from_mapping(entry)
    except StorageError as error:
        raise StorageError(f"{path}: {error}") from error


def broken_claims(proof: Proof) -> list[str]:
    """Return what the measurement contradicts of the job's claims, a clause each; empty if nothing."""
    found = []
    calls = proof.warm_up_calls + proof.calls_captured + proof.batches - proof.batches_replayed
    if proof.calls_watched != calls:
        found.append(f"{proof.calls_watched} calls reached the model, and {calls} were made")
    found += [
        f"{seen.bytes_copied} bytes of input '{seen.name}' were not where its collection's blob is: "
        "something copied them on the way in"
        for seen in proof.inputs
        if seen.bytes_copied
    ]
    found += [
        f"{seen.bytes_copied_by_backend} bytes of input '{seen.name}' were copied by the backend, and "
        f"{seen.bytes_declared} are what it says it copies"
        for seen in proof.inputs
        if seen.bytes_copied_by_backend != seen.bytes_declared
    ]
    found += [
        f"{seen.tensors_misplaced} tensors of input '{seen.name}' were not where its items and the rows of "
        "their call are"
        for seen in proof.inputs
        if seen.tensors_misplaced
    ]
    if proof.device == Device.CPU:
        found += threads_claim(proof.threads_seen, proof.wall_seconds, proof.other_threads_cpu_seconds)
        if moved := proof.transfers_in + proof.transfers_out:
            found.append(f"{moved} copies were made to and from a device, and on the CPU none need be")
    elif proof.rows:
        needed = sum(seen.needed_bytes for seen in proof.collections) + proof.bytes_made
        found += _transfer_claim("to the device", proof.bytes_transferred_in, needed)
        found += _transfer_claim("back from it", proof.bytes_transferred_out, proof.output_bytes)
    return found


def _transfer_claim(way: str, crossed: int, needed: int) -> list[str]:
    if crossed == needed:
        return []
    return [f"{crossed} bytes went {way}, and the blobs have {needed}"]


def threads_claim(seen: int, wall_seconds: float, other_threads_cpu_seconds: float) -> list[str]:
    """Return what contradicts the claim that one thread did all the work; empty if nothing.

    Parameters
    ----------
    seen
        The most threads that the process had.
    wall_seconds
        Of the work.
    other_threads_cpu_seconds
        CPU time in it of all threads but the one that should do the work.
    """
    if seen > 1:
        remedy = "set OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1 before Python starts"
        return [f"{seen} threads were seen ({remedy}, and build artifacts with one thread)"]
    if other_threads_cpu_seconds > _OTHER_THREADS_SECONDS + _OTHER_THREADS_FRACTION * wall_seconds:
        return [f"other threads than the job's own took {other_threads_cpu_seconds:.3f} s of CPU time"]
    return []


def judge_proof(proof: Proof, job: str) -> None:
    """Check that a job did what it claims.

    Parameters
    ----------
    proof
        Its measurement.
    job
        For the message, such as the path of its predictions.

    Raises
    ------
    ProofError
        If the measurement contradicts a claim.
    """
    if found := broken_claims(proof):
        raise ProofError(f"{job} is not written, because its job did not hold its claims: {'; '.join(found)}")
