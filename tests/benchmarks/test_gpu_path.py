"""The way through a GPU against what the device can do: its link, and its own time."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from soaflow.infer.accelerators import CudaAccelerator
from soaflow.infer.backends import eager
from soaflow.infer.device_place import OnDevice
from soaflow.infer.job import run_job
from soaflow.infer.variants import Backend, Device, Variant
from soaflow.soa.layout import Item, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
from soaflow.soa.storage import EVENTS, writing

pytestmark = pytest.mark.gpu

COLUMNS = tuple(f"x{number}" for number in range(16))
LAYOUT = Layout.of(*(Item(name, "float32") for name in COLUMNS))
SIGNATURE = Signature(
    (TensorInput("x", "x", LAYOUT, COLUMNS),),
    (TensorOutput("y", ("y",)),),
    Layout.of(Item("y", "float32")),
)
CHUNK_MIB = (8, 32, 128)
GOAL = 0.8


class Deep(nn.Module):
    """Enough arithmetic a row that its copies are hidden behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(16, 2048), *(nn.Linear(2048, 2048) for _ in range(8)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)[:, :1]


class FirstColumn(nn.Module):
    """Next to no arithmetic."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :1]


def job(folder: Path, model: nn.Module, rows: int, batch_size: int, chunk_mib: int = 32):
    events = folder / f"{rows}.h5"
    if not events.exists():
        with writing(events, EVENTS, {"x": LAYOUT.place(rows)}, {}):
            pass
    return run_job(
        lambda: eager(model, "float32", "cuda"),
        SIGNATURE,
        events,
        folder / "predictions.h5",
        folder / "predictions.proof.json",
        variant=Variant("v", Backend.EAGER, device=Device.CUDA, batch_size=batch_size),
        attributes={},
        place=OnDevice(CudaAccelerator(), chunk_mib << 20),
    )


def link_bytes_per_second(size: int) -> float:
    """The ceiling: one large copy of locked memory."""
    host, device = (
        torch.empty(size, dtype=torch.uint8, pin_memory=True),
        torch.empty(size, dtype=torch.uint8, device="cuda"),
    )
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    for _ in range(3):
        begin.record()
        device.copy_(host, non_blocking=True)
        end.record()
        torch.cuda.synchronize()
    return size / begin.elapsed_time(end) * 1000


@pytest.mark.parametrize("chunk_mib", CHUNK_MIB)
def test_a_transfer_bound_job_fills_the_link(benchmark, tmp_path, full_size, chunk_mib):
    rows = (1 << 26) if full_size else (1 << 16)
    job(tmp_path, FirstColumn(), rows, 1 << 16, chunk_mib)
    proof = benchmark.pedantic(job, (tmp_path, FirstColumn(), rows, 1 << 16, chunk_mib), rounds=3)
    reached = proof.bytes_transferred_in / proof.wall_seconds
    share = reached / link_bytes_per_second(min(1 << 30, proof.bytes_transferred_in))
    benchmark.extra_info |= {
        "of_the_link": share,
        "with_locking": share * proof.wall_seconds / (proof.wall_seconds + proof.locking_seconds),
        "inputs": proof.collections[0].crossing,
        "outputs": proof.output_crossing,
    }
    assert not full_size or share >= GOAL


def test_a_compute_bound_job_keeps_the_device_busy(benchmark, tmp_path, full_size):
    rows = (1 << 22) if full_size else (1 << 14)
    model = Deep()
    job(tmp_path, model, rows, 1 << 14)
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        proof = job(tmp_path, model, rows, 1 << 14)
    kernels = (
        sum(event.self_device_time_total for event in seen.key_averages() if "Memcpy" not in event.key) / 1e6
    )
    benchmark.pedantic(job, (tmp_path, model, rows, 1 << 14), rounds=3)
    share = kernels / proof.wall_seconds
    benchmark.extra_info |= {
        "device_over_wall": share,
        "by_marks": proof.device_seconds / proof.wall_seconds,
    }
    assert not full_size or share >= GOAL
