"""Every model with inputs as a job gives them: views of blobs, sliced from an offset."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from soaflow.models.jet_tagger import JetTagger
from soaflow.models.masked_net import MaskedNet
from soaflow.models.multi_head_net import MultiHeadNet
from soaflow.models.simple_net import SimpleNet
from soaflow.models.tiny_resnet import TinyResNet
from soaflow.models.track_hit_deep_set import TrackHitDeepSet
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.views import plan_view

MODELS: dict[str, Callable[[], nn.Module]] = {
    "SimpleNet": SimpleNet,
    "MaskedNet": MaskedNet,
    "MultiHeadNet": MultiHeadNet,
    "TinyResNet": TinyResNet,
    "TrackHitDeepSet": TrackHitDeepSet,
    "JetTagger": lambda: JetTagger(features=5, width=8),
}

Inputs = tuple[torch.Tensor, ...]


def blob_view(layout: Layout, names: tuple[str, ...], values: np.ndarray) -> torch.Tensor:
    """Return values `[n, ...]` as the view of the named items of a new blob."""
    placement = layout.place(len(values))
    blob = torch.zeros(placement.blob_bytes, dtype=torch.uint8)
    plan = plan_view(placement, names)
    dtype = getattr(torch, plan.dtype)
    if not len(values):
        return torch.empty(0, dtype=dtype).as_strided(plan.sizes, plan.strides)
    tensor = blob.view(dtype).as_strided(plan.sizes, plan.strides, plan.byte_offset // dtype.itemsize)
    if plan.strides[0]:
        tensor.copy_(torch.from_numpy(values))
    else:
        tensor[0] = float(values[0, 0])
    return tensor


def columns(*names: str) -> Layout:
    return Layout.of(*(Item(name, "float32") for name in names))


def soa_inputs(name: str, capacity: int, begin: int, end: int, hits: int = 57) -> Inputs:
    """Return the inputs of one call for rows `begin` to `end` of a collection of `capacity` rows."""
    generator = np.random.default_rng(7)

    def floats(*shape: int) -> np.ndarray:
        return generator.normal(size=shape).astype(np.float32)

    if name == "TinyResNet":
        layout = Layout.of(*(Item(c, "float32", ItemKind.EIGEN, (9, 9)) for c in "rgb"))
        return (blob_view(layout, ("r", "g", "b"), floats(capacity, 3, 9, 9))[begin:end],)
    if name == "JetTagger":
        return (blob_view(columns(*"abcde"), tuple("abcde"), floats(capacity, 5))[begin:end],)
    particles = blob_view(columns("pt", "eta", "phi"), ("pt", "eta", "phi"), floats(capacity, 3))[begin:end]
    if name == "MaskedNet":
        layout = Layout.of(Item("mask", "uint8", ItemKind.EIGEN, (3,)))
        mask = blob_view(layout, ("mask",), generator.integers(0, 2, (capacity, 3)).astype(np.uint8))
        return particles, mask[begin:end]
    if name == "TrackHitDeepSet":
        layout = Layout.of(
            *(Item(name, "float32") for name in "xyz"),
            Item("track", "int32"),
            Item("scale", "float32", ItemKind.SCALAR),
        )
        to_track = generator.integers(0, max(capacity, 1), (hits, 1)).astype(np.int32)
        return (
            particles,
            blob_view(layout, ("x", "y", "z"), floats(hits, 3)),
            blob_view(layout, ("scale",), np.full((hits, 1), 0.5, np.float32)),
            blob_view(layout, ("track",), to_track),
            torch.tensor([[begin]], dtype=torch.int32),
        )
    return (particles,)


@dataclass(frozen=True)
class Case:
    """One model and how to make its inputs."""

    name: str

    def model(self) -> nn.Module:
        """Return the model with random weights and statistics, in eval mode."""
        torch.manual_seed(3)
        model = MODELS[self.name]()
        for buffer_name, buffer in model.named_buffers():
            if buffer_name.endswith("running_mean"):
                buffer.normal_()
            if buffer_name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0)
        return model.eval()

    def inputs(self, rows: int, *, begin: int = 0, spare: int = 0, hits: int = 57) -> Inputs:
        """Return the inputs for `rows` rows from `begin`, with `spare` rows behind them."""
        return soa_inputs(self.name, begin + rows + spare, begin, begin + rows, hits)


@pytest.fixture(params=MODELS)
def case(request: pytest.FixtureRequest) -> Case:
    """Every model in turn."""
    return Case(request.param)


@pytest.fixture
def deep_set_case() -> Case:
    """The model with a set input."""
    return Case("TrackHitDeepSet")


def as_tuple(outputs: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return (outputs,) if isinstance(outputs, torch.Tensor) else outputs


@pytest.fixture
def assert_same() -> Callable[..., None]:
    """Compare the outputs of two calls, one tensor or several."""

    def compare(found: object, expected: object, **tolerances: float) -> None:
        torch.testing.assert_close(
            as_tuple(found),  # type: ignore[arg-type]
            as_tuple(expected),  # type: ignore[arg-type]
            **(tolerances or {"rtol": 1e-5, "atol": 1e-6}),
        )

    return compare
