"""Small events files to train on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import BATCH_BEGIN_LAYOUT, RowRange, Signature, TensorInput, TensorOutput
from soaflow.soa.storage import EVENTS, writing
from soaflow.train.settings import TrainingSettings

JETS = Layout.of(
    Item("x", "float32"),
    Item("y", "float32"),
    Item("linear", "float32", unit="GeV"),
    Item("side", "int32"),
    Item("kind", "int64"),
    Item("pair", "float32", ItemKind.EIGEN, (2,)),
    Item("fraction", "float64"),
    Item("common", "float32", ItemKind.SCALAR),
)
PARTS = Layout.of(Item("weight", "float32"), Item("jet", "int32"))


@pytest.fixture
def make_events(tmp_path: Path) -> Callable[..., Path]:
    """Write a file of jets whose targets are functions of x and y, with changes by item."""

    def make(rows: int = 500, name: str = "events.h5", seed: int = 1, **changes: np.ndarray) -> Path:
        generator = np.random.default_rng(seed)
        x, y = generator.normal(size=(2, rows)).astype(np.float32)
        values = {
            "x": x,
            "y": y,
            "linear": 300 + 100 * x - 50 * y,
            "side": np.where(x > y, 5, 4),
            "kind": (x > 0).astype(np.int64) + (y > 0),
            "pair": np.stack([x + y, x - y], axis=1),
            "fraction": 1 / (1 + np.exp(-x)),
            "common": 2.0,
        }
        placements = {"jets": JETS.place(rows), "parts": PARTS.place(2 * rows)}
        parts = {"weight": np.ones(2 * rows), "jet": np.repeat(np.arange(rows), 2)}
        with writing(tmp_path / name, EVENTS, placements, {}) as writer:
            for item, value in (values | {k: v for k, v in changes.items() if k in values}).items():
                writer.write("jets", item, value)
            for item, value in (parts | {k: v for k, v in changes.items() if k in parts}).items():
                writer.write("parts", item, value)
        return tmp_path / name

    return make


@pytest.fixture
def make_signature() -> Callable[..., Signature]:
    """Make the signature of a model that takes (x, y) and returns the named outputs of given widths."""

    def make(**widths: int) -> Signature:
        items = {
            name: Item(name, "float32", ItemKind.EIGEN, (width,)) if width > 1 else Item(name, "float32")
            for name, width in widths.items()
        }
        return Signature(
            (TensorInput("xy", "jets", JETS, ("x", "y")),),
            tuple(TensorOutput(name, (name,)) for name in items),
            Layout.of(*items.values()),
        )

    return make


@pytest.fixture
def set_signature() -> Signature:
    """A model that sees a slice of the jets, all parts, and where the slice begins."""
    return Signature(
        (
            TensorInput("xy", "jets", JETS, ("x", "y")),
            TensorInput("common", "jets", JETS, ("common",)),
            TensorInput("weight", "parts", PARTS, ("weight",), RowRange.WHOLE),
            TensorInput("jet", "parts", PARTS, ("jet",), RowRange.WHOLE),
            TensorInput("begin", "", BATCH_BEGIN_LAYOUT, ("batch_begin",), RowRange.BATCH_BEGIN),
        ),
        (TensorOutput("out", ("out",)),),
        Layout.of(Item("out", "float32")),
    )


@pytest.fixture
def make_settings() -> Callable[..., TrainingSettings]:
    """Make settings from targets `(output, item, loss)` or `(output, item, loss, equals)`."""

    def make(*targets: tuple[object, ...], **changes: object) -> TrainingSettings:
        keys = ("output", "item", "loss", "equals")
        entries = [{"collection": "jets", **dict(zip(keys, target, strict=False))} for target in targets]
        entry = {"epochs": 20, "batch_size": 32, "learning_rate": 0.01, "targets": entries}
        return TrainingSettings.from_mapping(entry | changes)

    return make
