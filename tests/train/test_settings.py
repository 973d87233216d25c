"""Settings and how targets fit a signature."""

import subprocess
import sys

import pytest

from soaflow.errors import ConfigError
from soaflow.train.settings import Loss, Target, TrainingSettings

ENTRY = {
    "epochs": 3,
    "batch_size": 8,
    "learning_rate": 0.1,
    "targets": [{"output": "out", "collection": "jets", "item": "linear", "loss": "squared_error"}],
}


def test_defaults_and_values() -> None:
    settings = TrainingSettings.from_mapping(ENTRY | {"dataset": "toy"})
    assert settings == TrainingSettings(3, 8, 0.1, (Target("out", "jets", "linear", Loss.SQUARED_ERROR),))
    assert (settings.validation_fraction, settings.patience, settings.weight_decay) == (0.2, 5, 0.0)
    other = TrainingSettings.from_mapping(
        ENTRY | {"validation_fraction": 0, "patience": 2, "weight_decay": 0.5}
    )
    assert (other.validation_fraction, other.patience, other.weight_decay) == (0, 2, 0.5)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("patience", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("weight_decay", -1.0),
        ("weight_decay", float("nan")),
        ("validation_fraction", 1.0),
        ("validation_fraction", -0.1),
        ("validation_fraction", float("nan")),
        ("targets", []),
        ("targets", ENTRY["targets"] * 2),
    ],
)
def test_a_value_out_of_range_names_its_key(key, value) -> None:
    with pytest.raises(ConfigError, match=key):
        TrainingSettings.from_mapping(ENTRY | {key: value})


def test_unknown_loss_and_misplaced_equals() -> None:
    target = ENTRY["targets"][0]
    with pytest.raises(ConfigError, match="loss 'hinge': choose one of squared_error, cross_entropy"):
        Target.from_mapping(target | {"loss": "hinge"})
    with pytest.raises(ConfigError, match="key equals"):
        Target.from_mapping(target | {"equals": 5})


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (("missing", "linear", "squared_error"), "no such output: choose one of one, three"),
        (("one", "missing", "squared_error"), "there is no item 'missing'"),
        (("one", "common", "squared_error"), "'common' is a scalar"),
        (
            ("one", "pair", "squared_error"),
            r"needs an item of the output's shape \[1\], and item 'pair' has \[2\]",
        ),
        (("three", "linear", "squared_error"), r"shape \[3\], and item 'linear' has \[1\]"),
        (("three", "side", "binary_cross_entropy", 5), r"shape \[3\]"),
        (("one", "kind", "cross_entropy"), r"an output of shape \[classes\], and this one is \[1\]"),
        (("three", "linear", "cross_entropy"), "column of integers, and item 'linear' is column float32"),
        (("three", "pair", "cross_entropy"), "column of integers, and item 'pair' is eigen float32"),
    ],
)
def test_a_target_that_its_output_cannot_learn(make_signature, make_settings, target, sentence) -> None:
    with pytest.raises(ConfigError, match=sentence):
        make_settings(target).check(make_signature(one=1, three=3))


def test_a_target_of_another_collection(make_signature) -> None:
    target = Target("out", "parts", "weight", Loss.SQUARED_ERROR)
    with pytest.raises(
        ConfigError, match="in collection 'parts', and the model predicts for the rows of 'jets'"
    ):
        TrainingSettings(1, 1, 1, (target,)).check(make_signature(out=1))


def test_targets_that_fit(make_signature, make_settings) -> None:
    targets = [
        ("one", "side", "binary_cross_entropy", 5),
        ("two", "pair", "squared_error"),
        ("three", "kind", "cross_entropy"),
    ]
    make_settings(*targets).check(make_signature(one=1, two=2, three=3))


def test_import_is_free_of_torch_and_numpy() -> None:
    code = "import sys, soaflow.train.settings; print({'torch', 'numpy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert found.strip() == "set()"
