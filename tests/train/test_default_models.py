"""The models of the default configuration learn on small parts of their own datasets."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from soaflow.events.datasets import ToyDataset, dataset_from_mapping
from soaflow.events.shards import write_shard
from soaflow.models.loading import build_model
from soaflow.soa.signature import Signature
from soaflow.train.loop import train
from soaflow.train.settings import TrainingSettings

REPOSITORY = Path(__file__).parents[2]
CONFIG = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
TRAINED = [name for name, entry in CONFIG["models"].items() if "training" in entry]


@pytest.fixture(scope="module")
def open_dataset(tmp_path_factory):
    """Give a small dataset and its first shard, written once."""
    folder = tmp_path_factory.mktemp("events")

    def make(name):
        dataset = dataset_from_mapping(name, CONFIG["datasets"][name], seed=1, alignment=128)
        if isinstance(dataset, ToyDataset):
            dataset = replace(dataset, events=400, shards=1)
        path = folder / f"{name}.h5"
        if not path.exists():
            write_shard(dataset, 0, path)
        return dataset, path

    return make


@pytest.mark.parametrize("name", TRAINED)
def test_a_few_epochs_beat_the_untrained_model(open_dataset, monkeypatch, name) -> None:
    monkeypatch.chdir(REPOSITORY)
    entry = CONFIG["models"][name]
    dataset, path = open_dataset(entry["datasets"][0])
    signature = Signature.from_config(entry["inputs"], entry["outputs"], dataset.layouts(), 128)

    def validation_losses(**changes) -> list[float]:
        settings = TrainingSettings.from_mapping(entry["training"] | changes)
        model = build_model(entry["class"], entry.get("arguments", {}), seed=1)
        return [epoch.validation_loss for epoch in train(model, signature, settings, [path], seed=1).epochs]

    untrained = validation_losses(epochs=1, learning_rate=1e-12)[0]
    assert min(validation_losses(epochs=8)) < 0.75 * untrained
