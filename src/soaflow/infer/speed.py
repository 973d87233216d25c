"""How fast the variants of a model are, by the rows of a call.

The invariant: all variants are timed in turn in one process, on one thread, on the same rows of real events,
and each through the backend that its jobs use. What the timed calls stored is that variant's own first result
bit for bit, and but for rounding that of the first variant; else nothing is written. The file says on which
machine it was measured and what that machine was doing besides.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from soaflow.energy import Energy, measured_energy
from soaflow.errors import ProofError
from soaflow.files import write_json
from soaflow.gpu_job import on_gpu
from soaflow.gpu_settings import settings_applied
from soaflow.infer import process
from soaflow.infer.backends import Backend
from soaflow.infer.crossing import CrossingBackend
from soaflow.infer.tensors import check_layouts
from soaflow.infer.timed_calls import TimedCalls, tiled
from soaflow.infer.timed_part import TimedWatch
from soaflow.infer.variants import Backend as VariantBackend
from soaflow.infer.variants import Device, Variant
from soaflow.machine import Load, this_machine
from soaflow.soa.signature import Signature
from soaflow.soa.storage import EVENTS, map_blob, read_header
from soaflow.targets import find_target
from soaflow.threads import run_single_threaded
from soaflow.timing import Pace, interleaved

SPEED_VERSION = 2
"""Version of the keys of the file."""

ENERGY_SECONDS = 1.0
"""How long each variant is called in a row for its energy, where one runs on a GPU."""


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
        `times` by variant (see `soaflow.timing.Times`), the `proof` by variant (see `TimedPart`) and, where
        one runs on a GPU and there are counters, the `energy` (see `soaflow.energy.Energy`); none without
        rows.

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
    with _gpu_of(list(loads)) as gpu:
        loaded = {variant: _backend(variant, load, signature) for variant, load in loads.items()}
        by_rows: list[dict[str, Any]] = []
        if rows:
            blobs[sliced] = tiled(blobs[sliced], max(rows, 2 * max(batch_sizes)))
        for size in dict.fromkeys(size or rows for size in batch_sizes) if rows else ():
            calls = {
                variant: TimedCalls(
                    *(variant.name, backend, signature, blobs),
                    dtype=variant.dtype,
                    precision=variant.precision,
                    batch_size=size,
                )
                for variant, backend in loaded.items()
            }
            by_rows.append(_measured(calls, str(path), pace, gpu))
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


def _measured(calls: Mapping[Variant, TimedCalls], path: str, pace: Pace, gpu: str) -> dict[str, Any]:
    """Time the calls of one batch size, and return what the file holds of them."""
    variants = {variant.name: variant for variant in calls}
    with torch.inference_mode():
        _first_runs(calls, path)
        watch = TimedWatch(
            {variant.name: one for variant, one in calls.items()},
            path,
            on_gpu=[name for name, variant in variants.items() if variant.device is Device.CUDA],
            idle_threads=process.thread_count() - 1 if gpu else 0,
        )

        @contextmanager
        def around(name: str) -> Iterator[None]:
            with _settings_of(variants[name]), watch.around(name):
                yield

        times = interleaved({variant.name: one for variant, one in calls.items()}, pace, around=around)
        energy = {variant.name: _energy(variant, one, gpu) for variant, one in calls.items()} if gpu else {}
    first = next(iter(calls.values()))
    return {
        "rows": first.batch_size,
        "batches": first.batches,
        "times": {name: one.to_mapping() for name, one in times.items()},
        "proof": {name: part.to_mapping() for name, part in watch.parts.items()},
        "energy": {name: asdict(one) for name, one in energy.items() if one is not None},
    }


def _first_runs(calls: Mapping[Variant, TimedCalls], path: str) -> None:
    first = next(iter(calls.values()))
    for variant, one in calls.items():
        with _settings_of(variant):
            one.first_run()
        try:
            one.check_against(first)
        except ProofError as error:
            raise ProofError(f"{path} is not written, because {error}") from error


def _energy(variant: Variant, calls: TimedCalls, gpu: str) -> Energy | None:
    with _settings_of(variant):
        return measured_energy(calls, ENERGY_SECONDS, gpu if variant.device is Device.CUDA else "")


@contextmanager
def _gpu_of(variants: Sequence[Variant]) -> Iterator[str]:
    """Claim a GPU for the variants that run on one, and give its identity; empty if none does."""
    on_device = [variant for variant in variants if variant.device is Device.CUDA]
    if not on_device:
        yield ""
        return
    built_for = [
        find_target(one.target).architecture for one in on_device if one.backend is VariantBackend.AOT
    ]
    shared = all(variant.share_gpu for variant in on_device)
    with on_gpu("the measurement of speed", architecture=next(iter(built_for), ""), shared=shared) as gpu:
        yield gpu.identity


def _backend(variant: Variant, load: Callable[[], Backend], signature: Signature) -> Backend:
    """Load what a variant runs; on a GPU the rows of a call go over and the outputs come back."""
    with _settings_of(variant):
        backend = load()
    if variant.device is Device.CPU:
        return backend
    return CrossingBackend(backend, signature.computed_in(variant.dtype), variant.device.value)


def _settings_of(variant: Variant) -> AbstractContextManager[None]:
    return settings_applied(variant.gpu) if variant.device is Device.CUDA else nullcontext()


def _described(variant: Variant, backend: Backend) -> dict[str, Any]:
    return {
        "backend": variant.backend.value,
        "device": variant.device.value,
        "target": variant.target if variant.backend == "aot" else "",
        "profile": variant.profile if variant.backend == "aot" else "",
        "dtype": variant.dtype,
        "model_sha256": backend.source_sha256,
        "inputs_copied": list(backend.copies),
    }
