"""Models whose first operation is fused by the compiler, and the project's own, exported once a session."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from soaflow.cache import Cache
from soaflow.config import Config
from soaflow.cpu import this_cpu
from soaflow.export.aot import write_aot
from soaflow.export.jit import write_jit
from soaflow.export.program import write_program
from soaflow.models.loading import build_model
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
from soaflow.targets import find_target

ROOT = Path(__file__).parents[2]
PARTICLES = Layout.of(
    *(Item(name, "float32") for name in ("pt", "eta", "phi", "mass")),
    Item("mask", "uint8", ItemKind.EIGEN, (4,)),
    Item("hits", "float32", ItemKind.EIGEN, (5, 3)),
    Item("r", "float32", ItemKind.EIGEN, (9, 9)),
    Item("g", "float32", ItemKind.EIGEN, (9, 9)),
    Item("b", "float32", ItemKind.EIGEN, (9, 9)),
)
MOMENTA = TensorInput("momenta", "particles", PARTICLES, ("pt", "eta", "phi", "mass"))
MASK = TensorInput("mask", "particles", PARTICLES, ("mask",))
HITS = TensorInput("hits", "particles", PARTICLES, ("hits",))
IMAGE = TensorInput("image", "particles", PARTICLES, ("r", "g", "b"))


def signature_of(*inputs: TensorInput, width: int) -> Signature:
    item = Item("y", "float32", ItemKind.EIGEN, (width,)) if width > 1 else Item("y", "float32")
    return Signature(inputs, (TensorOutput("y", ("y",)),), Layout.of(item))


class NormalisationFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, momenta):
        return self.layers(self.norm(momenta))


class LayerNormFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, momenta):
        return self.layers(momenta)


class MaskFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Linear(4, 1)

    def forward(self, momenta, mask):
        return self.layers(momenta * (1 - mask.to(momenta.dtype)))


class ConvolutionFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(3), nn.Flatten())
        self.head = nn.Linear(72, 3)

    def forward(self, image):
        return self.head(self.layers(image))


class AttentionFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(3, 1, batch_first=True)
        self.head = nn.Linear(3, 2)

    def forward(self, hits):
        mixed, _ = self.attention(hits, hits, hits, need_weights=False)
        return self.head(mixed.sum(dim=1))


@dataclass(frozen=True)
class Case:
    """A model with its signature."""

    name: str
    model: nn.Module
    signature: Signature
    jit: str = "trace"


def randomised(model: nn.Module) -> nn.Module:
    """Give normalisations other statistics than 0 and 1, which would hide an error."""
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.uniform_(-0.3, 0.3)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
    return model.eval()


def own_case(name: str) -> Case:
    torch.manual_seed(5)
    model_class, signature = {
        "NormalisationFirst": (NormalisationFirst, signature_of(MOMENTA, width=2)),
        "LayerNormFirst": (LayerNormFirst, signature_of(MOMENTA, width=1)),
        "MaskFirst": (MaskFirst, signature_of(MOMENTA, MASK, width=1)),
        "ConvolutionFirst": (ConvolutionFirst, signature_of(IMAGE, width=3)),
        "AttentionFirst": (AttentionFirst, signature_of(HITS, width=2)),
    }[name]
    return Case(name, randomised(model_class()), signature)


def project_case(name: str) -> Case:
    mapping = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    entry = Config.from_mapping(mapping, schema).models[name]
    model = build_model(entry.class_path, entry.arguments, seed=5)
    return Case(name, randomised(model), entry.signature, entry.jit)


OWN = ("NormalisationFirst", "LayerNormFirst", "MaskFirst", "ConvolutionFirst", "AttentionFirst")
PROJECT = ("SimpleNet", "MaskedNet", "MultiHeadNet", "TinyResNet", "TrackHitDeepSet", "JetTagger")


@pytest.fixture(scope="session", params=[*OWN, *PROJECT])
def case(request: pytest.FixtureRequest) -> Case:
    return own_case(request.param) if request.param in OWN else project_case(request.param)


@pytest.fixture(scope="session")
def normalisation_case() -> Case:
    return own_case("NormalisationFirst")


@pytest.fixture(scope="session")
def mask_case() -> Case:
    return own_case("MaskFirst")


@pytest.fixture
def more_threads() -> Iterator[int]:
    """Let torch have threads of its own, and return how many."""
    before, threads = torch.get_num_threads(), 3
    torch.set_num_threads(threads)
    yield threads
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def program_file(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(case.name) / f"{case.name}.float32.pt2"
    write_program(case.model, case.signature, path, model_name=case.name, dtype="float32", origin={})
    return path


@pytest.fixture(scope="session")
def jit_file(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(case.name) / f"{case.name}.float32.pt"
    write_jit(
        case.model, case.signature, path, model_name=case.name, dtype="float32", origin={}, mode=case.jit
    )
    return path


@pytest.fixture(scope="session")
def aot_file(program_file: Path) -> Path:
    path = program_file.with_name(f"{program_file.stem}.native.pt2")
    write_aot(program_file, "native", path)
    return path


@dataclass
class Workshop:
    """Builds artifacts as a user does, and what is the same once a session.

    Weights are packed in a process of their own, which sees nothing of this CPU beyond the target, from
    before torch is imported.
    """

    folder: Path

    @staticmethod
    def case(name: str) -> Case:
        return own_case(name) if name in OWN else project_case(name)

    def program(self, name: str, dtype: str = "float32") -> Path:
        path = self.folder / f"{name}.{dtype}.pt2"
        if not path.exists():
            case = self.case(name)
            write_program(case.model, case.signature, path, model_name=name, dtype=dtype, origin={})
        return path

    def artifact(self, name: str, target: str, profile: str) -> Path:
        self.require(target)
        path = self.folder / f"{name}.float32.{target}.{profile}.pt2"
        if not path.exists():
            cache = str(self.folder / "cache")
            done = self.rebuild(self.program(name), target, profile, path, SOAFLOW_CACHE=cache)
            assert done.returncode == 0, done.stderr
        return path

    @staticmethod
    def rebuild(
        program: Path, target: str, profile: str, output: Path, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "soaflow", "rebuild", program, "--target", target]
        return subprocess.run(
            [*command, "--profile", profile, "--output", output],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    @staticmethod
    def require(target: str) -> None:
        """Skip by name what this CPU can neither build nor run: it is not shown."""
        level = find_target(target).level or 0
        if level > this_cpu().level:
            pytest.skip(f"target {target} is above this CPU: not tried")


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture(scope="session")
def first_build(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Cache]:
    """A program, the artifact that was compiled from it in this process, and the cache that keeps it."""
    folder = tmp_path_factory.mktemp("first")
    program, artifact = workshop.program("NormalisationFirst"), folder / "NormalisationFirst.native.pt2"
    cache = Cache(folder / "cache")
    write_aot(program, "native", artifact, cache=cache)
    return program, artifact, cache
