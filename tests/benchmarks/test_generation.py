"""How fast events are generated and read, and how much memory that takes.

Small sizes run as plain tests. For figures set the number of toy events, and run on one core:

    SOAFLOW_BENCHMARK_EVENTS=1000000 taskset -c 0 pytest tests/benchmarks --benchmark-enable

Each benchmark records `rows_per_second` of its best round; the toy records `peak_memory_mib` of a
process of its own, with everything that Python and NumPy take.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from soaflow.events.branches import BranchItem, NanoaodCollection
from soaflow.events.datasets import TOY_ITEMS, NanoaodDataset, ToyDataset
from soaflow.events.shards import write_shard
from soaflow.soa.layout import Item
from soaflow.soa.storage import read_header

EVENTS = int(os.environ.get("SOAFLOW_BENCHMARK_EVENTS", "5000"))
REAL_FILE = Path(__file__).parents[2] / "resources" / "nano_tt_v15.root"


def write_and_record(benchmark, dataset, collection, path):
    benchmark.pedantic(write_shard, (dataset, 0, path), rounds=3, warmup_rounds=1)
    rows = read_header(path).collections[collection].placement.rows
    benchmark.extra_info["rows"] = rows
    if benchmark.stats is not None:
        benchmark.extra_info["rows_per_second"] = rows / benchmark.stats.stats.min
    return rows


@pytest.mark.parametrize("collections", [("particles",), ("images",), ("tracks",), ("hits", "tracks")])
def test_toy(benchmark, tmp_path, collections):
    # Images are 300 times larger than particles.
    events = EVENTS // 20 if collections == ("images",) else EVENTS
    dataset = ToyDataset("toy", seed=1, events=events, shards=1, collections=collections)
    assert write_and_record(benchmark, dataset, collections[0], tmp_path / "0.h5") > events


def test_nanoaod(benchmark, tmp_path):
    items = tuple(BranchItem(Item(name, "float32"), f"Jet_{name}") for name in ("pt", "eta", "phi", "mass"))
    dataset = NanoaodDataset("tt", 1, (str(REAL_FILE),), "CMS", "Events", (NanoaodCollection("jets", items),))
    assert write_and_record(benchmark, dataset, "jets", tmp_path / "0.h5") == 1636


PEAK_MEMORY = """
import sys
from pathlib import Path
from soaflow.events.datasets import ToyDataset
from soaflow.events.shards import write_shard
collections = tuple(sys.argv[3].split(","))
write_shard(ToyDataset("toy", 1, int(sys.argv[1]), 1, collections), 0, sys.argv[2])
# Not ru_maxrss, which a process inherits from the one that started it.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) / 1024)
"""


@pytest.mark.parametrize("collections", [("particles",), tuple(TOY_ITEMS)])
def test_toy_peak_memory(benchmark, tmp_path, collections):
    events = EVENTS if len(collections) == 1 else EVENTS // 20
    command = [sys.executable, "-c", PEAK_MEMORY, str(events), tmp_path / "0.h5", ",".join(collections)]
    done = benchmark.pedantic(
        subprocess.run, (command,), {"capture_output": True, "text": True, "check": True}, rounds=1
    )
    peak = float(done.stdout)
    benchmark.extra_info["peak_memory_mib"] = peak
    assert peak < 300
