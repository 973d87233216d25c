"""Files as the other stages write them, small."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soaflow.compare.differences import differences
from soaflow.compare.judging import judge
from soaflow.compare.measurement import Measurement, OutputMeasurement
from soaflow.compare.measurement import Shard as MeasuredShard
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.verdict import write_verdict
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.storage import EVENTS, PREDICTIONS, writing

EVENTS_LAYOUT = Layout.of(
    Item("gen_pt", "float32", unit="GeV"), Item("flavour", "int32"), Item("image_class", "int32")
)
PREDICTIONS_LAYOUT = Layout.of(
    Item("reco_pt", "float64", unit="GeV"),
    Item("b_probability", "float64"),
    Item("logits", "float64", ItemKind.EIGEN, (4,)),
)
"""Of the reference, which is stored in float64."""

Shard = tuple[Path, Path]


@pytest.fixture
def write_shard(tmp_path: Path) -> Callable[..., Shard]:
    """Write events and predictions of some rows; keyword arguments replace items."""

    def write(rows: int, number: int = 0, **items: Any) -> Shard:
        random = np.random.default_rng(number)
        gen_pt = 15 + random.exponential(40, rows)
        classes, flavour = random.integers(0, 4, rows), random.choice([0, 4, 5], rows)
        values = {
            "gen_pt": gen_pt,
            "flavour": flavour,
            "image_class": classes,
            "reco_pt": gen_pt * random.normal(1.05, 0.1, rows),
            "b_probability": 1 / (1 + np.exp(-random.normal(3.0 * (flavour == 5) - 1.5, 1.0))),
            "logits": np.eye(4)[classes] + random.exponential(0.5, (rows, 4)),
        } | items
        paths = tmp_path / f"events_{number}.h5", tmp_path / f"predictions_{number}.h5"
        for path, kind, name, layout in (
            (paths[0], EVENTS, "jets", EVENTS_LAYOUT),
            (paths[1], PREDICTIONS, "predictions", PREDICTIONS_LAYOUT),
        ):
            placements = {name: layout.place(len(values[layout.names[0]]))}
            with writing(path, kind, placements, {}) as writer:
                for item in layout.names:
                    writer.write(name, item, values[item])
        return paths

    return write


@pytest.fixture
def write_verdict_of(tmp_path: Path) -> Callable[..., Path]:
    """Write a verdict of one output; its reference is 1 GeV everywhere unless given."""

    def write(
        values: Any,
        *,
        reference: Any = None,
        model: str = "Net",
        variant: str = "jit",
        dataset: str = "toy",
        waivers: Any = (),
    ) -> Path:
        found = np.asarray(values, np.float64)
        expected = np.ones_like(found) if reference is None else np.asarray(reference, np.float64)
        output = OutputMeasurement("pt", "GeV", "float64", differences(expected, found, shard="0"))
        measured = Measurement(dataset, model, variant, "", (MeasuredShard("0", len(found), ""),), (output,))
        path = tmp_path / f"{model}.{variant}.{dataset}.json"
        write_verdict(path, judge(measured, Tolerance(1e-5, 1e-4), waivers=waivers))
        return path

    return write


@pytest.fixture
def write_proof(tmp_path: Path) -> Callable[..., Path]:
    """Write a proof with the keys that the report shows."""
    names: Iterator[int] = iter(range(1000))

    def write(**changes: Any) -> Path:
        proof = {
            "variant": "jit",
            "device": "cpu",
            "dtype": "float32",
            "rows": 250,
            "batch_size": 100,
            "batches": 3,
            "batch_seconds": [1.0, 0.5, 0.001],
            "batch_seconds_quantiles": [0.1, 0.2, 0.5, 1.0, 1.5, 2.0],
            "quantiles": [0.0, 0.16, 0.5, 0.84, 0.99, 1.0],
            "peak_resident_bytes": 300 << 20,
            "threads_seen": 1,
            "seconds_to_first_result": 2.0,
        } | changes
        path = tmp_path / f"{next(names)}.proof.json"
        path.write_text(json.dumps(proof))
        return path

    return write
