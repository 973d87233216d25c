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


def values_of(rows: int, seed: int = 1) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(seed)
    return {
        "pt": random.exponential(30.0, rows).astype(np.float32),
        "scores": random.normal(size=(rows, 3)),
        "label": random.integers(0, 5, rows).astype(np.int32),
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
                writer.write("predictions", item, values[item])
        return path

    return write
