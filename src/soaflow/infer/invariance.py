"""Runs the same rows in batches of several sizes, and twice, and says which bits differ.

The invariant: each run is what a job does, with its warm-up, its proof and the checks of it, but for the
outputs, which go into memory. All runs use one loaded model, in the order: all rows in one call, the batch
sizes, all rows in one call again; so a model that keeps something of its calls is found by the last one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from soaflow.errors import ConfigError
from soaflow.infer.backends import Backend
from soaflow.infer.on_device import device_of
from soaflow.infer.proof import judge_proof
from soaflow.infer.run import MappedEvents, ProvenRun
from soaflow.infer.variants import Variant
from soaflow.invariance import Batches, Invariance, write_invariance
from soaflow.sameness import OutputSameness, sameness_of_outputs
from soaflow.soa.mapping import blob_in_memory
from soaflow.soa.signature import Signature
from soaflow.soa.storage import MappedBlob

ALL_ROWS = 0
"""The batch size of one call for all rows."""


def measure_invariance(
    load: Callable[[], Backend],
    signature: Signature,
    events_path: Path | str,
    path: Path | str,
    *,
    variant: Variant,
    rows: int,
    calls: int,
    batch_sizes: Sequence[int],
    model: str,
    made_from: Mapping[str, str],
) -> Invariance:
    """Run the first rows of an events file in batches of several sizes, and write what differs.

    Parameters
    ----------
    load
        Verifies and loads the model.
    signature
        Of the model, as declared.
    events_path
        The file whose first rows are run.
    path
        The file to write; see `soaflow.invariance`.
    variant
        How to run; its own batch size is not used.
    rows
        At most so many of the rows that the model slices; collections that it reads whole stay whole.
    calls
        At most so many calls with batches of one size: of small batches, fewer rows are run.
    batch_sizes
        Each from 1.
    model
        Its name.
    made_from
        The weights and the events; see `soaflow.infer.identity.made_from`.

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
        If the measurement of a run contradicts what a job claims.
    ConfigError
        If a number of rows is not positive.
    OutputError
        If the file cannot be written.
    """
    if min((rows, calls, *batch_sizes)) < 1:
        raise ConfigError(f"rows {rows}, calls {calls}, batch sizes {list(batch_sizes)}: give numbers from 1")
    signature = signature.computed_in(variant.dtype)
    events = MappedEvents.of(events_path, signature, variant.device)
    loaded_once = cache(load)  # by the first run, where a job does: after its tensors are there
    label = f"model {model}, variant {variant.name}, {events_path}"

    def run(size: int, at_most: int = rows) -> MappedBlob:
        proven = ProvenRun(loaded_once, signature, events, replace(variant, batch_size=size))
        written = blob_in_memory(signature.output_layout.place(min(rows, at_most, events.rows)))
        judge_proof(proven.into(written, label=label), str(path))
        return written

    attributes = events.header.attributes
    dataset, shard = (str(attributes.get(key, "")) for key in ("dataset", "shard"))
    with device_of(variant):
        first = run(ALL_ROWS)
        batches = tuple(
            Batches(size, _compared(first, run(size, size * calls), shard)) for size in batch_sizes
        )
        again = _compared(first, run(ALL_ROWS), shard)
    found = Invariance(
        dataset=dataset,
        shard=shard,
        model=model,
        variant=variant.name,
        weights_sha256=made_from.get("weights_sha256", ""),
        events_sha256=made_from.get("events_sha256", ""),
        rows=first.placement.rows,
        rerun=again,
        batches=batches,
    )
    write_invariance(path, found)
    return found


def _compared(first: MappedBlob, other: MappedBlob, shard: str) -> tuple[OutputSameness, ...]:
    """Compare the outputs of a run with those of the first one, for as many rows as it has."""
    rows, items = other.placement.rows, other.placement.layout.items
    values = [{item.name: blob.by_row(item.name)[:rows] for item in items} for blob in (first, other)]
    return sameness_of_outputs(items, *values, shard=shard)
