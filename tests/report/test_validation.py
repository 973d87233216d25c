"""The report's validation rows are those that the training kept back."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from soaflow.report.validation import read_validation_rows
from soaflow.soa.layout import Item, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
from soaflow.soa.storage import EVENTS, PREDICTIONS, writing
from soaflow.train.data import open_training_file
from soaflow.train.settings import TrainingSettings

JETS = Layout.of(Item("pt", "float32"), Item("gen_pt", "float32"), Item("event", "int32"))
RECO = Layout.of(Item("reco_pt", "float64"))
TARGET = {"output": "reco_pt", "collection": "jets", "item": "gen_pt", "loss": "squared_error"}


@pytest.fixture
def make_files(tmp_path: Path) -> Callable[[int, int], tuple[Path, Path]]:
    """Write events of several jets, numbered by `gen_pt`, and predictions that repeat the number."""

    def make(number: int, events: int) -> tuple[Path, Path]:
        event = np.repeat(np.arange(events), np.random.default_rng(number).poisson(4, events))
        truth = 10_000 * number + np.arange(len(event), dtype=np.float64)
        paths = tmp_path / f"events_{number}.h5", tmp_path / f"predictions_{number}.h5"
        with writing(paths[0], EVENTS, {"jets": JETS.place(len(event))}, {}) as writer:
            writer.write("jets", "gen_pt", truth)
            writer.write("jets", "event", event)
        with writing(paths[1], PREDICTIONS, {"predictions": RECO.place(len(event))}, {}) as writer:
            writer.write("predictions", "reco_pt", truth)
        return paths

    return make


@pytest.mark.parametrize("fraction", [0.0, 0.2, 0.35, 0.9])
def test_training_and_report_split_alike(make_files, fraction: float) -> None:
    shards = [make_files(number, events) for number, events in enumerate((200, 0, 1, 37))]
    signature = Signature(
        (TensorInput("pt", "jets", JETS, ("pt",)),), (TensorOutput("reco_pt", ("reco_pt",)),), RECO
    )
    settings = TrainingSettings.from_mapping(
        {
            "epochs": 1,
            "batch_size": 8,
            "learning_rate": 0.1,
            "targets": [TARGET],
            "validation_fraction": fraction,
        }
    )
    files = [open_training_file(events, signature, settings) for events, _ in shards]
    kept_back = [
        file.targets[0][begin:end, 0].numpy() for file in files for begin, end in file.split.validation
    ]
    rows = read_validation_rows(
        [events for events, _ in shards],
        [predictions for _, predictions in shards],
        TARGET,
        prediction_item="reco_pt",
        fraction=fraction,
    )
    assert rows.truth.tolist() == np.concatenate([np.empty(0), *kept_back]).tolist()
    assert rows.truth.tolist() == rows.prediction.tolist()
    assert rows.described.startswith(f"validation rows: {100 * fraction:g} % of each of 4 files")
    assert bool(rows.rows) == bool(fraction)
