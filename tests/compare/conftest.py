"""Small predictions files for the comparison tests."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.storage import PREDICTIONS, writing

LAYOUT = Layout.of(
    Item("pt", "float32", unit="GeV"), Item("scores", "float64", ItemKind.EIGEN, (3,)), Item("label", "int32")
)

WritePredictions = Callable[..., Path]


@pytest.fixture
def values() -> dict[str, np.ndarray[Any, Any]]:
    """Values of 300 rows of `LAYOUT`."""
    random = np.random.default_rng(1)
    return {
        "pt": random.exponential(30.0, 300).astype(np.float32),
        "scores": random.normal(size=(300, 3)),
        "label": random.integers(0, 5, 300).astype(np.int32),
    }


@pytest.fixture
def write_predictions(tmp_path: Path) -> WritePredictions:
    def write(
        name: str,
        values: Mapping[str, np.ndarray[Any, Any]],
        *,
        layout: Layout = LAYOUT,
        **attributes: str | int,
    ) -> Path:
        described = {"dataset": "toy", "shard": 0, "model": "Net", "variant": name} | attributes
        rows = len(values[layout.names[0]])
        path = tmp_path / f"{name}.h5"
        with writing(path, PREDICTIONS, {"predictions": layout.place(rows)}, described) as writer:
            for item in layout.names:
                writer.write("predictions", item, values[item].astype(layout[item].dtype))
        return path

    return write
