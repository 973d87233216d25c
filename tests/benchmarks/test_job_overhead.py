"""What a job costs beyond its computation, in a process of its own, and what kept memory saves."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from soaflow.soa.layout import Item, Layout
from soaflow.soa.storage import EVENTS, writing
from soaflow.threads import SINGLE_THREAD_VARIABLES

JOB = """
import sys
from soaflow.infer import backends
from soaflow.infer.job import run_job
from soaflow.infer.variants import Backend, Variant
from soaflow.models.loading import build_model
from soaflow.soa.layout import Item, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
from soaflow.soa.storage import read_header

import torch

backend, folder = sys.argv[1:]
layout = read_header(f"{folder}/events.h5").collection("particles").placement.layout
signature = Signature(
    (TensorInput("particles", "particles", layout, layout.names),),
    (TensorOutput("reco_pt", ("reco_pt",)),),
    Layout.of(Item("reco_pt", "float32")),
)
model = build_model("soaflow.models.simple_net:SimpleNet", {}, seed=1)


def load():
    if backend == "eager":
        return backends.eager(model, "float32")
    return backends.Backend(torch.jit.load(f"{folder}/model.pt"))


variant = Variant("overhead", Backend(backend), batch_size=1000)
run_job(load, signature, f"{folder}/events.h5", f"{folder}/p.h5", f"{folder}/p.json",
        variant=variant, attributes={})
"""

SCRIPT_MODEL = """
import sys, torch
from soaflow.models.loading import build_model
model = build_model("soaflow.models.simple_net:SimpleNet", {}, seed=1)
torch.jit.save(torch.jit.freeze(torch.jit.script(model)), sys.argv[1])
"""

CHUNKS = """
import sys, time
from soaflow.infer.process import keep_freed_memory
from soaflow.threads import run_single_threaded
import torch
from soaflow.models.loading import build_model

run_single_threaded()
if sys.argv[1] == "kept":
    assert keep_freed_memory()
model = build_model("soaflow.models.simple_net:SimpleNet", {}, seed=1)
rows = torch.zeros(int(sys.argv[2]), 3)
with torch.inference_mode():
    model(rows[:1024])
    started = time.perf_counter()
    for begin in range(0, len(rows), 1024):
        model(rows[begin : begin + 1024])
    print(time.perf_counter() - started)
"""


def run_alone(code, *arguments):
    environment = {**os.environ, **SINGLE_THREAD_VARIABLES, "PYTHONWARNINGS": "ignore::DeprecationWarning"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=True, env=environment, capture_output=True, text=True).stdout


@pytest.mark.parametrize("backend", ["eager", "jit"])
def test_process_start_to_first_result(benchmark, tmp_path, backend, full_size):
    rows = 100_000 if full_size else 100
    layout = Layout.of(*(Item(name, "float32") for name in ("pt", "eta", "phi")))
    with writing(tmp_path / "events.h5", EVENTS, {"particles": layout.place(rows)}, {}) as writer:
        writer.write("particles", "pt", np.ones(rows))
    if backend == "jit":
        run_alone(SCRIPT_MODEL, tmp_path / "model.pt")
    benchmark.pedantic(run_alone, (JOB, backend, tmp_path), rounds=5 if full_size else 1)
    proof = json.loads((tmp_path / "p.json").read_text())
    told = ("seconds_to_first_tensor", "load_seconds", "warm_up_seconds", "seconds_to_first_result")
    benchmark.extra_info.update({key: proof[key] for key in (*told, "rows_per_second")})
    assert (proof["threads_seen"], proof["bytes_copied_in"], proof["rows"]) == (1, 0, rows)


@pytest.mark.parametrize("memory", ["kept", "given back"])
def test_chunks_with_kept_memory(benchmark, memory, full_size):
    rows = 1_000_000 if full_size else 4096
    seconds = benchmark.pedantic(run_alone, (CHUNKS, memory, rows), rounds=3 if full_size else 1)
    benchmark.extra_info["rows_per_second"] = rows / float(seconds)
    assert float(seconds) > 0
