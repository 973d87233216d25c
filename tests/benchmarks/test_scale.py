"""What a job takes for more rows: its time grows with them, and its own memory does not.

Small sizes run as plain tests, and fail if a stage keeps all rows. For the table of docs/scale.md:

    SOAFLOW_BENCHMARK_ROWS=100000000 SOAFLOW_BENCHMARK_FOLDER=/scratch pytest tests/benchmarks/test_scale.py \
        --benchmark-enable

`own_mib` is the most memory that no file backs (`RssAnon`), seen from outside every 2 ms: pages of mapped
files are the kernel's, which takes them back when it needs them.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from soaflow.soa.layout import Item, Layout
from soaflow.soa.storage import EVENTS, PREDICTIONS, writing
from soaflow.threads import SINGLE_THREAD_VARIABLES

ROWS = int(os.environ.get("SOAFLOW_BENCHMARK_ROWS", "3000000"))
FEW_ROWS = 1_200_000
"""More than any stage looks at at a time."""

ALLOWED_GROWTH = 4 << 20
"""Bytes of own memory for the further rows: less than one item of them."""

ALLOWED_IN_SORTING = 48 << 20
"""The same of decisions, which sort pieces of up to 2**20 rows, as many as the values make. That these do not
grow is held by tests/compare/test_decisions.py and, for 10**7 rows, by the table.
"""

PARTICLES = Layout.of(*(Item(name, "float32") for name in ("pt", "eta", "phi")))
PREDICTED = Layout.of(Item("reco_pt", "float32"))
ROWS_PER_WRITE = 1 << 18


@dataclass(frozen=True)
class Measured:
    """CPU seconds of a process, and the most bytes that no file backs."""

    seconds: float
    own_bytes: int


def measured_alone(code: str, *arguments: object) -> Measured:
    environment = {**os.environ, **SINGLE_THREAD_VARIABLES, "PYTHONWARNINGS": "ignore::DeprecationWarning"}
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=environment)
    status, own = Path(f"/proc/{process.pid}/status"), 0
    while process.poll() is None:
        for line in status.read_text().splitlines():
            if line.startswith("RssAnon"):
                own = max(own, int(line.split()[1]) * 1024)
        time.sleep(0.002)
    assert process.returncode == 0
    return Measured(float(Path(str(arguments[-1]), "seconds").read_text()), own)


TIMED = """
import sys, time
from pathlib import Path
def finish():
    Path(sys.argv[-1], "seconds").write_text(str(time.process_time()))
folder = Path(sys.argv[-1])
"""

WRITE_EVENTS = """
from soaflow.events.datasets import ToyDataset
from soaflow.events.shards import write_shard
write_shard(ToyDataset("toy", 1, int(sys.argv[1]) // 10, 1, ("particles",)), 0, folder / "events.h5")
finish()
"""

SIGNATURE = """
from soaflow.soa.layout import Item, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
from soaflow.soa.storage import read_header
layout = read_header(folder / "particles.h5").collection("particles").placement.layout
signature = Signature(
    (TensorInput("particles", "particles", layout, layout.names),),
    (TensorOutput("reco_pt", ("reco_pt",)),),
    Layout.of(Item("reco_pt", "float32")),
)
"""

RUN_MODEL = (
    SIGNATURE
    + """
from soaflow.infer import backends
from soaflow.infer.job import run_job
from soaflow.infer.variants import Backend, Variant
def load():
    from soaflow.soa.tensor_library import numpy_library
    from soaflow.soa.arrays import ArrayTensor
    total = lambda particles: ArrayTensor(particles.numpy().sum(axis=1, keepdims=True))
    return backends.Backend(total, tensors=numpy_library())
run_job(load, signature, folder / "particles.h5", folder / "p.h5", folder / "p.json",
        variant=Variant("aot", Backend.AOT, batch_size=1024), attributes={})
finish()
"""
)

RUN_REFERENCE = (
    SIGNATURE
    + """
from soaflow.infer.backends import eager
from soaflow.infer.job import run_job
from soaflow.infer.variants import reference_of
def load():
    from torch import nn
    return eager(nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1)), "float64")
run_job(load, signature, folder / "particles.h5", folder / "p.h5", folder / "p.json",
        variant=reference_of(signature), attributes={})
finish()
"""
)

MEASURE_DIFFERENCES = """
from soaflow.compare.measuring import measure_files
measure_files(folder / "reference.h5", folder / "aot.h5")
finish()
"""

MEASURE_PAIRS = """
from soaflow.compare.measuring_pairs import measure_pairs
measure_pairs([folder / "jit.h5", folder / "aot.h5"], ["jit", "aot"], folder / "pairs.json")
finish()
"""

MEASURE_DECISIONS = """
from soaflow.compare.measuring_decisions import measure_decisions
from soaflow.compare.observables import Column, Observable, ObservableKind, Truth
truth = Truth("particles", "pt")
observable = Observable("pt", ObservableKind.REGRESSION, (Column("reco_pt"),), truth, ())
files = [[folder / f"{name}.h5"] for name in ("reference", "aot", "particles")]
measure_decisions(*files, [observable])
finish()
"""

STAGES = {
    "events": WRITE_EVENTS,
    "inference": RUN_MODEL,
    "reference": RUN_REFERENCE,
    "differences": MEASURE_DIFFERENCES,
    "pairs": MEASURE_PAIRS,
    "decisions": MEASURE_DECISIONS,
}


def write_files(folder: Path, rows: int) -> None:
    """Write an events file and three predictions of it, a part of the rows at a time."""
    said = {"dataset": "toy", "shard": "0", "model": "Sum"}
    random = np.random.default_rng(1)
    with writing(folder / "particles.h5", EVENTS, {"particles": PARTICLES.place(rows)}, said) as writer:
        for name in PARTICLES.names:
            for begin in range(0, rows, ROWS_PER_WRITE):
                values = random.random(min(ROWS_PER_WRITE, rows - begin), np.float32)
                writer.write("particles", name, values + 1, begin)
    for variant, scale in (("reference", 0.0), ("jit", 1e-7), ("aot", 2e-7)):
        placements = {"predictions": PREDICTED.place(rows)}
        random = np.random.default_rng(2)
        with writing(
            folder / f"{variant}.h5", PREDICTIONS, placements, {**said, "variant": variant}
        ) as writer:
            for begin in range(0, rows, ROWS_PER_WRITE):
                values = 1 + random.random(min(ROWS_PER_WRITE, rows - begin))
                moved = values * (1 + scale * random.normal(size=len(values)))
                writer.write("predictions", "reco_pt", moved, begin)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A folder with the files of few rows and one with those of many."""
    scratch = os.environ.get("SOAFLOW_BENCHMARK_FOLDER")
    made = {}
    for rows in (FEW_ROWS, ROWS):
        made[rows] = Path(scratch, str(rows)) if scratch else tmp_path_factory.mktemp(f"rows{rows}")
        made[rows].mkdir(exist_ok=True)
        write_files(made[rows], rows)
    return made


def measured_both(stage: str, folders: dict[int, Path]) -> tuple[Measured, Measured]:
    few, many = (measured_alone(TIMED + STAGES[stage], rows, folder) for rows, folder in folders.items())
    return few, many


@pytest.mark.parametrize("stage", STAGES)
def test_own_memory_does_not_grow_with_the_rows(benchmark, folders, stage):
    few, many = benchmark.pedantic(measured_both, (stage, folders), rounds=1)
    benchmark.extra_info.update(
        rows=ROWS,
        cpu_seconds=many.seconds,
        nanoseconds_per_row=1e9 * (many.seconds - few.seconds) / (ROWS - FEW_ROWS),
        own_mib=many.own_bytes / 2**20,
        own_mib_of_few_rows=few.own_bytes / 2**20,
    )
    allowed = ALLOWED_IN_SORTING if stage == "decisions" else ALLOWED_GROWTH
    assert many.own_bytes - few.own_bytes < allowed


ALL_ROWS = """
from soaflow.soa.storage import map_blob, read_header
kept = map_blob(read_header(folder / "aot.h5"), "predictions").array("reco_pt").copy()
finish()
"""


def test_a_stage_that_keeps_all_rows_would_be_seen(folders, monkeypatch):
    monkeypatch.setitem(STAGES, "all rows", ALL_ROWS)
    few, many = measured_both("all rows", folders)
    assert many.own_bytes - few.own_bytes > ALLOWED_GROWTH
