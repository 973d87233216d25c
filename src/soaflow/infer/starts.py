"""How long a variant of a model takes from nothing to its first results, and how much memory.

The invariant: every start is that of a process of its own, on one thread. Variants are started in turn, in
alternate directions, and every start is kept with what it found in the page cache, as a start from disk is
another thing than one from memory. If outputs differ, from call to call, from start to start, or by more than
rounding from the first variant's, nothing is written.
"""

import ctypes
import json
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from soaflow.errors import ProofError
from soaflow.files import write_json
from soaflow.infer import one_start, process
from soaflow.infer.closeness import disagreement
from soaflow.infer.proof import threads_claim
from soaflow.infer.variants import Variant
from soaflow.machine import Load, this_machine
from soaflow.models.libtorch import torch_library_path
from soaflow.soa.signature import Signature
from soaflow.soa.storage import EVENTS, read_header
from soaflow.threads import SINGLE_THREAD_VARIABLES

STARTS_VERSION = 1
"""Version of the keys of the file."""


def measure_starts(
    files: Mapping[Variant, Path | str],
    signature: Signature,
    events_path: Path | str,
    path: Path | str,
    *,
    model: Mapping[str, Any],
    model_name: str,
    repetitions: int,
    run: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Start the variants of a model in turn, and write what each start took as JSON.

    Parameters
    ----------
    files
        For each variant its weights or its artifact.
    signature
        Of the model, as declared.
    events_path
        The file with the events, whose first rows are called with.
    path
        The file to write.
    model
        `class_path`, `arguments` and `seed` of a Python model.
    model_name
        Its name.
    repetitions
        How often each variant is started.
    run
        Starts a process with a task of `soaflow.infer.one_start`, and returns what it wrote; by default
        `run_one_start`.

    Returns
    -------
    dict
        What the file holds: under `starts` for each variant a list of what `soaflow.infer.one_start` told,
        with `cached`, the shares of the model's file and of torch's library in the page cache before; none
        without rows.

    Raises
    ------
    ProofError
        If a process fails, has a second thread, or gives other outputs.
    StorageError
        If the events file is not valid.
    OutputError
        If the file cannot be written.
    """
    run = run or run_one_start
    began = Load.now()
    header = read_header(events_path, EVENTS)
    rows = header.collection(signature.sliced_collection).placement.rows
    starts: dict[str, list[dict[str, Any]]] = {variant.name: [] for variant in files}
    expected: dict[str, _Outputs] = {}
    in_turn = list(files.items())
    for _ in range(repetitions if rows else 0):
        for variant, file in in_turn:
            cached = {"model": cached_share(file), "torch": cached_share(torch_library_path())}
            task = {
                "variant": asdict(variant),
                "signature": signature.to_mapping(),
                "file": str(file),
                "model": dict(model),
                "events": str(events_path),
            }
            told = run(task)
            outputs = _Outputs(variant.dtype, told.pop("outputs"))
            first = expected.setdefault(variant.name, outputs)
            base = next(iter(expected.values()))
            if found := _fault(told) or outputs.fault_beside(first) or outputs.far_from(base):
                raise ProofError(f"{path} is not written, because a start of '{variant.name}' {found}")
            starts[variant.name].append({**told, "cached": cached})
        in_turn.reverse()
    figures = {
        "starts_version": STARTS_VERSION,
        "model": model_name,
        "in_turn": list(starts),
        "parts": list(one_start.PARTS),
        "starts": starts,
        "machine": this_machine().to_mapping(),
        "load": Load.now().since(began).to_mapping(),
    }
    write_json(path, figures)
    return figures


def run_one_start(task: Mapping[str, Any]) -> dict[str, Any]:
    """Run `soaflow.infer.one_start` in a process of its own.

    Raises
    ------
    ProofError
        If it fails.
    """
    environment = {**os.environ, **SINGLE_THREAD_VARIABLES}
    command = [sys.executable, "-m", one_start.__name__]
    text = {**task, "spawned": time.perf_counter()}
    done = subprocess.run(
        command, env=environment, input=json.dumps(text), capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"]
        reason = said[-1].removeprefix("soaflow: error: ")
        raise ProofError(
            f"variant '{task['variant']['name']}' does not start in a process of its own: {reason}"
        )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def cached_share(path: Path | str) -> float:
    """Return which share of a file's pages is in the page cache; 1 for an empty file."""
    with open(path, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if not size:
            return 1.0
        # Copy-on-write, as an address can be taken of a writable map only; nothing is touched.
        mapped = mmap.mmap(stream.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
    pages = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    return process.page_cache_bytes(address, size) / pages


def _fault(told: Mapping[str, Any]) -> str:
    """Return what is wrong with a start by itself, in words; empty if nothing."""
    if found := threads_claim(told["threads_seen"], 0.0, 0.0):
        return found[0]
    return "" if told["calls_agree"] else "gave other outputs in one of its calls than in the others"


@dataclass(frozen=True, slots=True)
class _Outputs:
    """What a start computed, by output item, and in which dtype."""

    dtype: str
    values: Mapping[str, list[Any]]

    def fault_beside(self, first: "_Outputs") -> str:
        """Return whether the first start of the same variant gave others; as JSON a NaN equals itself."""
        same = json.dumps(self.values) == json.dumps(first.values)
        return "" if same else "gave other outputs than the first start"

    def far_from(self, base: "_Outputs") -> str:
        """Return where they are not a rounding of those of the first variant."""
        for item, values in self.values.items():
            pair = np.array(values), np.array(base.values[item])
            if found := disagreement(*pair, self.dtype, base.dtype):
                return f"gave item '{item}' as {found}"
        return ""
