"""Models with a fault in the middle, and the programs and events of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from soaflow.bisect.answer import Answer
from soaflow.bisect.search import bisect
from soaflow.config import Config
from soaflow.export.program import write_program
from soaflow.models.loading import build_model
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
from soaflow.soa.storage import EVENTS, writing

ROOT = Path(__file__).parents[2]
PARTICLES = Layout.of(*(Item(name, "float32") for name in ("pt", "eta", "phi")))
SIGNATURE = Signature(
    (TensorInput("particles", "particles", PARTICLES, PARTICLES.names),),
    (TensorOutput("energy", ("energy",)), TensorOutput("classes", ("classes",))),
    Layout.of(Item("energy", "float32"), Item("classes", "float32", ItemKind.EIGEN, (3,))),
)


class Net(nn.Module):
    """A backbone of four layers, and two heads; `middle` stands where faults are planted."""

    def __init__(self, middle: nn.Module | None = None) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 24))
        self.middle = middle or nn.Tanh()
        self.last = nn.Sequential(nn.Linear(24, 16), nn.ReLU())
        self.energy = nn.Linear(16, 1)
        self.classes = nn.Linear(16, 3)

    def forward(self, particles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        last = self.last(self.middle(self.first(particles)))
        return self.energy(last), self.classes(last).softmax(dim=1)


def make_net(middle: nn.Module | None = None) -> Net:
    torch.manual_seed(3)
    return Net(middle).eval()


def write_events(path: Path, signature: Signature, rows: int) -> Path:
    """Write events of random values; of a whole collection there are three times as many rows."""
    layouts = {spec.collection: spec.layout for spec in signature.inputs if spec.collection}
    sizes = {name: rows if name == signature.sliced_collection else 3 * rows for name in layouts}
    random = np.random.default_rng(8)
    placements = {name: layout.place(sizes[name]) for name, layout in layouts.items()}
    with writing(path, EVENTS, placements, {"dataset": "toy"}) as writer:
        for name, layout in layouts.items():
            for item in layout.items:
                size = () if item.kind is ItemKind.SCALAR else (sizes[name], *item.shape)
                end = 2 if item.dtype == "uint8" else rows
                values = random.normal(size=size) if item.floating else random.integers(0, end, size)
                writer.write(name, item.name, np.asarray(values))
    return path


Make = Callable[..., Path]


@pytest.fixture
def net() -> Callable[..., Net]:
    """Make a net, always with the same weights, with another module in the middle if one is given."""
    return make_net


@pytest.fixture
def signature() -> Signature:
    """Of the nets."""
    return SIGNATURE


@pytest.fixture
def program(tmp_path: Path) -> Make:
    """Export a model to a program of the given name."""

    def make(
        model: nn.Module,
        name: str = "right",
        *,
        dtype: str = "float32",
        signature: Signature = SIGNATURE,
        stored: bool = True,
    ) -> Path:
        path = tmp_path / f"{name}.pt2"
        write_program(model, signature, path, model_name="Net", dtype=dtype, origin={}, store_outputs=stored)
        return path

    return make


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return write_events(tmp_path / "events.h5", SIGNATURE, 2500)


@pytest.fixture
def found(program: Make, events: Path) -> Callable[..., Answer]:
    """Bisect a faulty model against the right one."""

    def find(faulty: nn.Module, right: nn.Module | None = None, **options) -> Answer:
        return bisect(program(right or make_net()), program(faulty, "faulty"), events, **options)

    return find


@pytest.fixture
def default_model() -> Callable[[str], tuple[nn.Module, Signature]]:
    """Make a model of the default configuration, with weights from a seed."""
    return _default_model


@pytest.fixture
def events_of(tmp_path: Path) -> Callable[..., Path]:
    """Write events of random values that fit a signature."""

    def write(signature: Signature, rows: int) -> Path:
        return write_events(tmp_path / "other.h5", signature, rows)

    return write


def _default_model(name: str) -> tuple[nn.Module, Signature]:
    mapping = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    entry = Config.from_mapping(mapping, schema).models[name]
    return build_model(entry.class_path, entry.arguments, seed=5), entry.signature
