"""How fast the variants of a model are, by the rows of a call.

The invariant: all variants are timed in turn in one process, on one thread, on the same rows of real events,
and each through the backend that its jobs use. What the timed calls stored is that variant's own first result
bit for bit, and but for rounding that of the first variant; else nothing is written. The file says on which
machine it was measured and what that machine was doing besides.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from soaflow.errors import ProofError
from soaflow.files import write_json
from soaflow.infer import process
from soaflow.infer.backends import Backend
from soaflow.infer.tensors import check_layouts
from soaflow.infer.timed_calls import TimedCalls, tiled
from soaflow.infer.timed_part import TimedWatch
from soaflow.infer.variants import Variant
from soaflow.machine import Load, this_machine
from soaflow.soa.signature import Signature
from soaflow.soa.storage import EVENTS, map_blob, read_header
from soaflow.threads import run_single_threaded
from soaflow.timing import Pace, interleaved

SPEED_VERSION = 1
"""Version of the keys of the file."""


def measure_speed(
    loads: Mapping[Variant, Callable[[], Backend]],
    signature: Signature,
    events_path: Path | str,
    path: Path | str,
    *,
    model: str,
    batch_sizes: Sequence[int],
    pace: Pace,
) -> dict[str, Any]:
    """Time the variants of a model in turn, and write the times as JSON.

    Parameters
    ----------
    loads
        For each variant what verifies and loads its model. Its batch size does not count.
    signature
        Of the model, as declared.
    events_path
        The file with the events; its rows are repeated where a batch size asks for more.
    path
        The file to write.
    model
        Its name.
    batch_sizes
        Rows of a call; 0 for all rows of the file.
    pace
        How long and how strictly each batch size is timed.

    Returns
    -------
    dict
        What the file holds: under `by_rows` for each batch size its `rows`, the `batches` in turn, the
        `times` by variant (see `soaflow.timing.Times`) and the `proof` by variant (see `TimedPart`); none
        without rows.

    Raises
    ------
    StorageError
        If the events file is not valid or has other layouts.
    ArtifactError, ModelError
        If a model cannot be loaded or fails.
    ProofError
        If a timed call started a thread, or gave other outputs.
    OutputError
        If the file cannot be written.
    """
    run_single_threaded()
    process.keep_freed_memory()
    began = Load.now()
    header = read_header(events_path, EVENTS)
    check_layouts(header, signature)
    blobs = {name: map_blob(header, name) for name in signature.collections}
    sliced = signature.sliced_collection
    rows = blobs[sliced].placement.rows
    loaded = {variant: load() for variant, load in loads.items()}
    by_rows: list[dict[str, Any]] = []
    with torch.inference_mode():
        if rows:
            blobs[sliced] = tiled(blobs[sliced], max(rows, 2 * max(batch_sizes)))
        for size in dict.fromkeys(size or rows for size in batch_sizes) if rows else ():
            calls = {
                variant.name: TimedCalls(
                    variant.name, backend, signature, blobs, dtype=variant.dtype, batch_size=size
                )
                for variant, backend in loaded.items()
            }
            _first_runs(list(calls.values()), path)
            watch = TimedWatch(calls, str(path))
            times = interleaved(calls, pace, around=watch.around)
            by_rows.append(
                {
                    "rows": size,
                    "batches": next(iter(calls.values())).batches,
                    "times": {name: one.to_mapping() for name, one in times.items()},
                    "proof": {name: part.to_mapping() for name, part in watch.parts.items()},
                }
            )
    figures = {
        "speed_version": SPEED_VERSION,
        "model": model,
        "variants": {variant.name: _described(variant, backend) for variant, backend in loaded.items()},
        "in_turn": [variant.name for variant in loads],
        "events": {key: header.attributes[key] for key in ("dataset", "shard") if key in header.attributes},
        "rows": rows,
        "pace": pace.to_mapping(),
        "machine": this_machine().to_mapping(),
        "load": Load.now().since(began).to_mapping(),
        "by_rows": sorted(by_rows, key=lambda entry: entry["rows"]),
    }
    write_json(path, figures)
    return figures


def _first_runs(calls: list[TimedCalls], path: Path | str) -> None:
    for one in calls:
        one.first_run()
        try:
            one.check_against(calls[0])
        except ProofError as error:
            raise ProofError(f"{path} is not written, because {error}") from error


def _described(variant: Variant, backend: Backend) -> dict[str, Any]:
    return {
        "backend": variant.backend.value,
        "target": variant.target if variant.backend == "aot" else "",
        "profile": variant.profile if variant.backend == "aot" else "",
        "dtype": variant.dtype,
        "model_sha256": backend.source_sha256,
        "inputs_copied": list(backend.copies),
    }
