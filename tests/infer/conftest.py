"""Events files with known values, tiny models, and a runner of jobs inside the tests' own process."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from soaflow.cpu import this_cpu
from soaflow.export.fat import write_fat
from soaflow.export.jit import write_jit
from soaflow.export.program import write_program
from soaflow.infer import process
from soaflow.infer.backends import eager
from soaflow.infer.job import run_job
from soaflow.infer.proof import Proof
from soaflow.infer.variants import Backend, Variant
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
from soaflow.soa.storage import EVENTS, PREDICTIONS, map_blob, read_header, writing
from soaflow.targets import find_target

PARTICLES = Layout.of(
    Item("number", "int32"),
    Item("pt", "float32", unit="GeV"),
    Item("eta", "float32"),
    Item("phi", "float32"),
    Item("mask", "uint8", ItemKind.EIGEN, (3,)),
)
SIGNATURE = Signature(
    (TensorInput("particles", "particles", PARTICLES, ("pt", "eta", "phi")),),
    (TensorOutput("energy", ("energy",)),),
    Layout.of(Item("energy", "float32")),
)


class Weighted(nn.Module):
    """`pt + 10 * eta + 100 * phi`, shape [B, 1]: wrong as soon as a column or a row is another.

    The sum is one fused loop, so a compiled one has vector instructions of its target.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([1.0, 10.0, 100.0]))

    def forward(self, particles: torch.Tensor) -> torch.Tensor:
        return (particles * self.weights).sum(dim=1, keepdim=True)


def write_particles(path: Path, rows: int, layout: Layout = PARTICLES) -> None:
    random = np.random.default_rng(rows)
    with writing(path, EVENTS, {"particles": layout.place(rows)}, {"dataset": "toy"}) as writer:
        for item in layout.items:
            values = (
                random.random(rows) if item.floating else random.integers(0, 2, (rows, *item.shape), np.int8)
            )
            writer.write("particles", item.name, values)


def column(path: Path, name: str, collection: str, kind: str) -> np.ndarray:
    return np.array(map_blob(read_header(path, kind), collection).array(name))


@dataclass
class Bench:
    """Runs jobs in a folder, and reads what they wrote."""

    folder: Path
    signature: Signature = SIGNATURE
    attributes: Mapping[str, Any] = field(
        default_factory=lambda: {"dataset": "toy", "shard": 0, "model": "M"}
    )

    @property
    def events(self) -> Path:
        return self.folder / "events.h5"

    @property
    def predictions(self) -> Path:
        return self.folder / "out" / "predictions.h5"

    @property
    def proof(self) -> Path:
        return self.folder / "out" / "predictions.proof.json"

    def run(
        self, model: nn.Module | None = None, *, batch_size: int = 0, load: Any = None, **options: Any
    ) -> Proof:
        variant = options.pop("variant", Variant("plain", Backend.EAGER, batch_size=batch_size))
        return run_job(
            load or (lambda: eager(model or Weighted(), variant.dtype)),
            self.signature,
            self.events,
            self.predictions,
            self.proof,
            variant=variant,
            attributes=self.attributes,
            **options,
        )

    def written(self, name: str = "energy") -> np.ndarray:
        return column(self.predictions, name, "predictions", PREDICTIONS)

    def expected(self) -> np.ndarray:
        """What `Weighted` gives for the events file."""
        pt, eta, phi = map(self.events_column, ("pt", "eta", "phi"))
        return pt + 10 * eta + 100 * phi

    def events_column(self, name: str) -> np.ndarray:
        return column(self.events, name, "particles", EVENTS)

    def leftovers(self) -> list[str]:
        """Whatever lies in the output folder, hidden files too."""
        folder = self.predictions.parent
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def own_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads that other tests left in this process are not the job's: they are not counted.

    `test_backends.py` counts all threads, in a process of its own.
    """
    count = process.thread_count
    others = count() - 1
    monkeypatch.setattr(process, "thread_count", lambda: count() - others)


@pytest.fixture
def bench(tmp_path: Path, own_threads: None) -> Bench:  # noqa: ARG001  wanted for what it does
    return Bench(tmp_path)


@pytest.fixture
def particles_layout() -> Layout:
    return PARTICLES


@pytest.fixture
def particles() -> Callable[..., None]:
    return write_particles


# Artifacts of `Weighted`, made once a session


def exported(write: Callable[..., object], path: Path, model: nn.Module, signature: Signature) -> Path:
    write(model.eval(), signature, path, model_name=path.name.split(".")[0], dtype="float32", origin={})
    return path


def compiled(program: Path, target: str) -> Path:
    """Return the artifact of a program for a target, or skip where it can be neither built nor run."""
    level, mine = find_target(target).level, this_cpu()
    if level and level > mine.level:
        pytest.skip(f"this CPU, {mine.describe()}, lacks instructions of {target}")
    path = program.with_name(f"{program.stem}.{target}.balanced.pt2")
    if not path.exists():
        # In a process of its own, as the libraries that pack weights ask for the target when they are loaded.
        command = [sys.executable, "-m", "soaflow", "rebuild", program, "--target", target, "--output", path]
        done = subprocess.run(
            command, env={**os.environ, "SOAFLOW_CACHE": "off"}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="session")
def jit_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("jit") / "Weighted.float32.pt"
    return exported(write_jit, path, Weighted(), SIGNATURE)


@pytest.fixture(scope="session")
def program_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("aot") / "Weighted.float32.pt2"
    return exported(write_program, path, Weighted(), SIGNATURE)


@pytest.fixture(scope="session")
def v3_file(program_file: Path) -> Path:
    return compiled(program_file, "x86-64-v3")


@pytest.fixture(scope="session")
def v4_file(program_file: Path) -> Path:
    return compiled(program_file, "x86-64-v4")


@pytest.fixture(scope="session")
def export_and_compile(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return the function that makes the artifact of another model for a target."""

    def make(model: nn.Module, signature: Signature, target: str) -> Path:
        path = tmp_path_factory.mktemp("other") / f"{type(model).__name__}.float32.pt2"
        return compiled(exported(write_program, path, model, signature), target)

    return make


@pytest.fixture(scope="session")
def fat_file(v3_file: Path, v4_file: Path) -> Path:
    path = v3_file.with_name("Weighted.float32.fat.balanced.pt2")
    write_fat([v3_file, v4_file], path)
    return path
