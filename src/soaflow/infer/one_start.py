"""A process that starts, loads one variant of a model, calls it three times, and says how long that took.

The invariant: what is timed is what an inference job does up to its first results, in its order, from the
moment at which the parent starts the process; nothing that the work needs is imported before. What looks at
the process or at the outputs lies between the parts and no part counts it.

The task is read as JSON from the standard input, and what was measured is written as JSON to the standard
output; `soaflow.infer.starts` is the parent.
"""

import time

_FIRST_LINE = time.perf_counter()

import json  # noqa: E402  after the clock has been read
import sys  # noqa: E402
from collections.abc import Iterator, Mapping  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from typing import Any  # noqa: E402

from soaflow.errors import SoaflowError  # noqa: E402

INTERPRETER, IMPORTS, EVENTS_MAPPED, MODEL_LOADED = "interpreter", "imports", "events", "model"
CALLS = ("first call", "second call", "third call")
PARTS = (INTERPRETER, IMPORTS, EVENTS_MAPPED, MODEL_LOADED, *CALLS)
"""In their order."""

ROWS = 64
"""Rows of a call; fewer where the events have fewer."""


class _Parts:
    """The seconds of each part and the memory after it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.memory: dict[str, dict[str, int]] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began
        from soaflow.infer import process  # noqa: PLC0415  imported in the part that is timed for it

        self.memory[name] = {
            "own_bytes": process.resident_own_bytes(),
            "file_bytes": process.resident_file_bytes(),
        }


def start(task: Mapping[str, Any]) -> dict[str, Any]:
    """Do what a job does up to its third result.

    Parameters
    ----------
    task
        `variant` and `signature` as mappings, the `file` of the weights or the artifact, the `model` that
        makes a Python model (`class_path`, `arguments`, `seed`), the path of the `events`, and `spawned`: the
        parent's monotonic clock when it started this process.

    Returns
    -------
    dict
        `seconds` by part; `memory` after each part but the first; `peak_resident_bytes`; `rows` of a call;
        the `outputs` by item and whether the `calls_agree` to the bit; `threads_seen`; `major_faults`, pages
        that had to be read from disk.
    """
    parts = _Parts()
    parts.seconds[INTERPRETER] = _FIRST_LINE - task["spawned"]
    with parts.timed(IMPORTS):
        import resource  # noqa: PLC0415

        from soaflow.infer import process  # noqa: PLC0415
        from soaflow.infer.loading import load_backend, runs_in_torch  # noqa: PLC0415
        from soaflow.infer.tensors import Outputs, check_layouts, input_tensors  # noqa: PLC0415
        from soaflow.infer.variants import Backend, Variant  # noqa: PLC0415
        from soaflow.models.onnx_sessions import onnxruntime_without_telemetry  # noqa: PLC0415
        from soaflow.soa.mapping import blob_in_memory  # noqa: PLC0415
        from soaflow.soa.signature import Signature  # noqa: PLC0415
        from soaflow.soa.storage import EVENTS, map_blob, read_header  # noqa: PLC0415
        from soaflow.soa.tensor_library import torch_library  # noqa: PLC0415

        variant = Variant(**task["variant"])
        if variant.backend is Backend.ONNX:
            onnxruntime_without_telemetry()
        elif runs_in_torch(variant):
            torch_library().run_single_threaded()
        process.keep_freed_memory()
    signature = Signature.from_mapping(task["signature"])
    with parts.timed(EVENTS_MAPPED):
        header = read_header(task["events"], EVENTS)
        check_layouts(header, signature)
        blobs = {name: map_blob(header, name) for name in signature.collections}
        rows = min(ROWS, blobs[signature.sliced_collection].placement.rows)
    with parts.timed(MODEL_LOADED):
        files = {"artifact": task["file"], "weights": task["file"]}
        backend = load_backend(variant, signature, **files, **task["model"])
        made = input_tensors(signature, blobs, rows, backend.tensors)
        inputs = [tensor.batch(0, 0, rows) for tensor in made]
    computed = signature.computed_in(variant.dtype)
    blob = blob_in_memory(computed.output_layout.place(rows))
    outputs = Outputs.mapped(computed, blob, backend.tensors)
    backend.check(inputs)
    results = []
    with backend.tensors.computing_only():
        for call in CALLS:
            blob.buffer[:] = b"\xff" * len(blob.buffer)
            with parts.timed(call):
                backend.run_batch(inputs, outputs, 0, rows)
            results.append(bytes(blob.buffer))
    return {
        "seconds": parts.seconds,
        "memory": parts.memory,
        "peak_resident_bytes": process.peak_resident_bytes(),
        "rows": rows,
        "outputs": {item: blob.array(item).tolist() for item in computed.output_layout.names},
        "calls_agree": len(set(results)) == 1,
        "threads_seen": process.thread_count(),
        "major_faults": resource.getrusage(resource.RUSAGE_SELF).ru_majflt,
    }


def main() -> int:
    """Start what the standard input names; an error is one sentence."""
    try:
        measured = start(json.load(sys.stdin))
    except SoaflowError as error:
        print(f"soaflow: error: {error}", file=sys.stderr)
        return 2
    json.dump(measured, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
