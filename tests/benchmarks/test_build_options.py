"""Ways to build that are no profile: matrix products tuned among ATen's, and outputs that are returned.

Each model of the default configuration, with initial weights, is built for this CPU and called through the
raw loader with views of collections. What is told is the time of a call relative to that of a `balanced`
build, which stores its outputs; a call that returns them is followed by the copy into their place. The clock
is that of the thread, which other work on the machine does not move.
`make profiles` measures the profiles themselves.
"""

import time
from pathlib import Path

import pytest
import torch
import yaml

from soaflow.config import Config
from soaflow.export.archives import write_records
from soaflow.export.compilation import compile_program
from soaflow.export.examples import CallShape, example_inputs
from soaflow.export.program import read_program, write_program
from soaflow.models.loading import build_model
from soaflow.models.packages import load_package
from soaflow.profiles import Profile
from soaflow.soa.outputs import OutputBlob
from soaflow.targets import find_target
from soaflow.threads import run_single_threaded
from soaflow.timing import interleaved

ROOT = Path(__file__).parents[2]
CONFIG = Config.from_mapping(
    yaml.safe_load((ROOT / "config/config.yaml").read_text()),
    yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text()),
)
ROWS = (1, 16, 256, 4096, 65536)
ATEN = {"max_autotune": True, "max_autotune_gemm_backends": "ATEN"}
WAYS = {"stored": ({}, True), "returned": ({}, False), "tuned": (ATEN, True)}
"""Options, and whether outputs are stored."""


def package(folder, name, model, signature, options, store_outputs):
    program = folder / f"{name}.pt2"
    write_program(
        model, signature, program, model_name=name, dtype="float32", origin={}, store_outputs=store_outputs
    )
    compiling = folder / f"{name}-compiling"
    compiling.mkdir()
    profile = Profile(name, "measured", options)
    compiled = compile_program(read_program(program), find_target("native"), profile, compiling, name)
    path = folder / f"{name}.native.pt2"
    path.write_bytes(write_records(compiled.records))
    return load_package(path)


def call(run, inputs, stored, store_outputs):
    if store_outputs:
        return lambda: run([*inputs, *stored])

    def and_copy():
        for output, result in zip(stored, run(list(inputs)), strict=True):
            output.copy_(result)

    return and_copy


@pytest.mark.parametrize("name", CONFIG.models)
def test_ways_to_build(benchmark, tmp_path, name, full_size):
    if not full_size:
        pytest.skip("three compilations: only make benchmark measures them")
    run_single_threaded()
    entry = CONFIG.models[name]
    signature = entry.signature
    model = build_model(entry.class_path, entry.arguments, seed=5).eval()
    ways = {way: package(tmp_path, way, model, signature, *how) for way, how in WAYS.items()}
    told = {}
    for rows in ROWS[:4] if name == "TinyResNet" else ROWS:
        shape = CallShape(rows, 2 * rows, 0, whole_rows=3 * rows, whole_capacity=3 * rows)
        inputs = example_inputs(signature, shape, seed=rows)
        stored = OutputBlob(signature, rows).rows(0, rows)
        with torch.inference_mode():
            times = interleaved(
                {way: call(ways[way], inputs, stored, WAYS[way][1]) for way in WAYS},
                round_seconds=0.1,
                clock=time.thread_time,
            )
        told[rows] = {way: round(one.median / times["stored"].median, 3) for way, one in times.items()}
        told[rows]["microseconds"] = round(times["stored"].median * 1e6, 1)
    benchmark.extra_info.update({str(rows): str(ratios) for rows, ratios in told.items()})
    print(name, told)
    benchmark.pedantic(call(ways["stored"], inputs, stored, True), rounds=3)
