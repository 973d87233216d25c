"""How fast the build profiles of an artifact are, by the rows of a call and of a chunk.

The invariant: all profiles are timed in turn in one process, on one thread, through the raw loader, with
views of one blob that holds real events, and what the timed calls stored is checked. Profiles of which the
library is the same have the same times. The ratios hold for this machine; the seconds are its alone.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from soaflow.cpu import this_cpu
from soaflow.errors import StorageError
from soaflow.files import write_json
from soaflow.infer import backends, process
from soaflow.infer.tensors import check_layouts
from soaflow.infer.timed_calls import TimedCalls, tiled
from soaflow.infer.timed_part import TimedWatch
from soaflow.passport import Passport, read_passport
from soaflow.profiles import PROFILES
from soaflow.soa.signature import Signature
from soaflow.soa.storage import EVENTS, map_blob, read_header
from soaflow.threads import run_single_threaded
from soaflow.timing import Pace, Times, interleaved

CALL_ROWS = (1, 16, 256, 4096)
"""Rows of the single calls that are timed."""

CHUNK_ROWS = (64, 256, 1024, 4096)
"""Rows of a call that are tried for a whole shard, beside the shard in one call."""

SHARD_ROWS = (65536, 16384, 4096)
"""Rows of the whole shard: the most that can be run through in `PASS_SECONDS`, the last in any case."""

PASS_SECONDS = 0.5

_PACE = Pace(seconds=4.0)

_NOISE = 0.05
"""Profiles whose medians differ by less are as fast as each other."""


def measure_profiles(
    artifacts: Mapping[str, Path | str], events_path: Path | str, path: Path | str
) -> dict[str, Any]:
    """Time artifacts of one program in several profiles, and write the figures as JSON.

    Parameters
    ----------
    artifacts
        By profile; each with its passport.
    events_path
        The file with the events; its rows are repeated where there are too few.
    path
        The file to write: `calls` by rows, and `shard` by rows of a chunk (0 for one call), each with the
        `Times` by profile; `recommended` names the profile, and for the shard the chunk too.

    Raises
    ------
    ArtifactError
        If an artifact is not sound or has another signature than the others.
    StorageError
        If the events file is not valid, has other layouts or no rows.
    ProofError
        If a timed call started a thread, or gave other outputs than the first ones.
    OutputError
        If the figures cannot be written.
    """
    run_single_threaded()
    process.keep_freed_memory()
    passports = {profile: read_passport(artifact) for profile, artifact in artifacts.items()}
    first_path, first = next((artifacts[name], passport) for name, passport in passports.items())
    declared = Signature.from_mapping(first.description.signature, first_path)
    timed_as = _timed_as(passports)
    loaded = {
        profile: backends.aot(artifacts[profile], declared) for profile in dict.fromkeys(timed_as.values())
    }
    dtype = first.description.dtype
    header = read_header(events_path, EVENTS)
    check_layouts(header, declared)
    blobs = {name: map_blob(header, name) for name in declared.collections}
    sliced = declared.sliced_collection
    if not blobs[sliced].placement.rows:
        raise StorageError(f"{events_path} has no rows of {sliced} to measure with: name a file with events")
    with torch.inference_mode():
        blobs[sliced] = tiled(blobs[sliced], max(CALL_ROWS) * 2)
        calls = {
            str(rows): _timed(
                {
                    name: TimedCalls(name, backend, declared, blobs, dtype=dtype, batch_size=rows)
                    for name, backend in loaded.items()
                },
                path,
            )
            for rows in CALL_ROWS
        }
        shard_rows = _shard_rows(calls[str(CALL_ROWS[-1])])
        blobs[sliced] = tiled(blobs[sliced], shard_rows)
        chunks = {chunk: chunk for chunk in CHUNK_ROWS if chunk < shard_rows} | {0: shard_rows}
        passes = {
            f"{name} {chunk}": TimedCalls(
                f"{name} {chunk}",
                backend,
                declared,
                blobs,
                dtype=dtype,
                batch_size=rows,
                most_batches=shard_rows,
            )
            for chunk, rows in chunks.items()
            for name, backend in loaded.items()
        }
        shard = _timed(passes, path, whole=True)
    description = first.description
    figures = {
        "model": description.model,
        "dtype": description.dtype,
        "target": description.targets[0],
        "cpu": this_cpu().describe(),
        "torch": str(torch.__version__),
        "artifacts_sha256": {profile: passport.sha256 for profile, passport in passports.items()},
        "calls": {
            rows: _mapping({profile: times[name] for profile, name in timed_as.items()})
            for rows, times in calls.items()
        },
        "shard_rows": shard_rows,
        "shard": {
            str(chunk): _mapping({profile: shard[f"{name} {chunk}"] for profile, name in timed_as.items()})
            for chunk in chunks
        },
    }
    write_json(path, {**figures, "recommended": recommended(figures)})
    return figures


def recommended(figures: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what to use for each number of rows of a call, and for a whole shard.

    Parameters
    ----------
    figures
        `calls` and `shard`, as `measure_profiles` writes them.

    Returns
    -------
    dict
        By rows of a call, and under `shard`: the `profile` with the least median, or one of the profiles
        before it that is as fast but for noise, and for the shard its `chunk`, 0 for one call.
    """
    best: dict[str, dict[str, Any]] = {
        rows: {"profile": _fastest(times)} for rows, times in figures["calls"].items()
    }
    fastest = {chunk: _fastest(times) for chunk, times in figures["shard"].items()}
    chunk = min(fastest, key=lambda key: figures["shard"][key][fastest[key]]["median"])
    return {**best, "shard": {"profile": fastest[chunk], "chunk": int(chunk)}}


def _timed_as(passports: Mapping[str, Passport]) -> dict[str, str]:
    """Return for each profile the first one whose library was built from the same in the same way."""
    first: dict[str, str] = {}
    timed_as = {}
    for profile, passport in passports.items():
        ways = {
            name: (build.toolchain, build.options, build.machine_code)
            for name, build in passport.builds.items()
        }
        library = json.dumps([passport.description.origin["program_sha256"], ways], sort_keys=True)
        timed_as[profile] = first.setdefault(library, profile)
    return timed_as


def _timed(calls: Mapping[str, TimedCalls], path: Path | str, *, whole: bool = False) -> dict[str, Times]:
    """Return the times of single calls, or of runs over the whole blob."""
    for one in calls.values():
        one.first_run()
    timed: dict[str, Callable[[], object]] = {
        name: one.run_through if whole else one for name, one in calls.items()
    }
    return interleaved(timed, _PACE, around=TimedWatch(calls, str(path)).around)


def _shard_rows(times: Mapping[str, Times]) -> int:
    seconds_per_row = max(one.median for one in times.values()) / CALL_ROWS[-1]
    return next((rows for rows in SHARD_ROWS if rows * seconds_per_row < PASS_SECONDS), SHARD_ROWS[-1])


def _mapping(times: Mapping[str, Times]) -> dict[str, dict[str, Any]]:
    return {name: one.to_mapping() for name, one in times.items()}


def _fastest(times: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the profile with the least median, or one that comes before it and is as fast but for noise."""
    least = min(one["median"] for one in times.values())
    return next(name for name in PROFILES if name in times and times[name]["median"] <= (1 + _NOISE) * least)
