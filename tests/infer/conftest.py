"""Events files with known values, tiny models, and a runner of jobs inside the tests' own process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from soaflow.infer import process
from soaflow.infer.backends import eager
from soaflow.infer.job import run_job
from soaflow.infer.proof import Proof
from soaflow.infer.variants import Backend, Variant
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
from soaflow.soa.storage import EVENTS, PREDICTIONS, map_blob, read_header, writing

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
    """`pt + 10 * eta + 100 * phi`, shape [B, 1]: wrong as soon as a column or a row is another."""

    def forward(self, particles: torch.Tensor) -> torch.Tensor:
        return particles @ particles.new_tensor([[1.0], [10.0], [100.0]])


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
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The threads that other tests left in this process are not the job's: they are not counted.

    `test_alone.py` counts all threads, in a process of its own.
    """
    count = process.thread_count
    others = count() - 1
    monkeypatch.setattr(process, "thread_count", lambda: count() - others)
    return Bench(tmp_path)


@pytest.fixture
def particles_layout() -> Layout:
    return PARTICLES


@pytest.fixture
def particles() -> Callable[..., None]:
    return write_particles
