"""The training loop: it learns, stops, keeps the best, repeats, and refuses."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from soaflow.errors import ModelError, TrainingError
from soaflow.files import sha256_of_file
from soaflow.models.loading import build_model
from soaflow.models.weights import write_weights
from soaflow.train.data import open_training_file, training_variance
from soaflow.train.loop import train

LINEAR = ("out", "linear", "squared_error")


def perceptron(*widths: int, last: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(5)
    layers: list[nn.Module] = [nn.BatchNorm1d(2)]
    for before, after in zip((2, *widths), widths, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    layers[-1] = last or nn.Identity()
    return nn.Sequential(*layers).eval()


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


class Heads(nn.Module):
    """Two outputs, of a regression and of three classes."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = perceptron(16, 16)
        self.value, self.classes = nn.Linear(16, 1), nn.Linear(16, 3)

    def forward(self, xy):
        shared = torch.relu(self.shared(xy))
        return self.value(shared), torch.softmax(self.classes(shared), dim=1)


@pytest.mark.parametrize(
    ("target", "width", "last", "start", "end"),
    [
        (("out", "linear", "squared_error"), 1, None, 1.0, 0.02),
        (("out", "side", "binary_cross_entropy", 5), 1, nn.Sigmoid(), 0.5, 0.15),
        (("out", "kind", "cross_entropy"), 3, nn.Softmax(dim=1), 0.7, 0.25),
        (("out", "pair", "squared_error"), 2, None, 0.5, 0.02),
    ],
)
def test_a_trained_model_beats_an_untrained_one(
    make_events, make_signature, make_settings, target, width, last, start, end
) -> None:
    settings = make_settings(target, epochs=40)
    result = train(
        perceptron(16, width, last=last), make_signature(out=width), settings, [make_events()], seed=1
    )
    assert result.epochs[0].validation_loss > start * 0.5
    best = result.epochs[result.best_epoch - 1]
    assert best.validation_loss < end
    assert best.validation_loss < result.epochs[0].validation_loss / 2
    assert best.training_loss < result.epochs[0].training_loss / 2


def test_two_outputs_are_learned_together(make_events, make_signature, make_settings) -> None:
    torch.manual_seed(1)
    model = Heads()
    settings = make_settings(
        ("classes", "kind", "cross_entropy"), ("value", "linear", "squared_error"), epochs=30
    )
    result = train(model, make_signature(value=1, classes=3), settings, [make_events()], seed=1)
    assert result.epochs[result.best_epoch - 1].validation_loss < 0.3
    value, classes = model(torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))
    assert value[:, 0].tolist() == pytest.approx([350, 250], abs=15)
    assert classes.argmax(dim=1).tolist() == [2, 0]


def test_overfits_a_tiny_set(make_events, make_signature, make_settings) -> None:
    path = make_events(8, linear=np.array([1.0, -4, 9, 2, -7, 5, 0, 3]))
    settings = make_settings(LINEAR, epochs=400, validation_fraction=0, patience=400, batch_size=8)
    model = perceptron(64, 64, 1)
    result = train(model, make_signature(out=1), settings, [path], seed=1)
    assert result.epochs[-1].training_loss < 1e-3
    assert result.epochs[0].validation_loss is None
    assert not model.training


def test_a_set_model_gets_the_slices_first_row(make_events, set_signature, make_settings) -> None:
    class CountsParts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.zeros(1))

        def forward(self, xy, common, weight, jet, begin):
            row = (jet[:, 0] - begin[0, 0] + 1).clamp(0, len(xy) + 1)
            counts = torch.zeros(len(xy) + 2, 1).index_add(0, row, weight)[1:-1]
            assert torch.equal(counts, torch.full((len(xy), 1), 2.0))
            return self.scale * counts * common

    model = CountsParts()
    path = make_events(100, linear=np.full(100, 8.0))
    settings = make_settings(LINEAR, epochs=60, learning_rate=0.1, patience=60)
    train(model, set_signature, settings, [path], seed=1)
    assert model.scale.item() == pytest.approx(2.0, abs=0.05)


def test_keeps_the_best_weights_and_stops(make_events, make_signature, make_settings) -> None:
    signature = make_signature(out=1)
    noise = np.random.default_rng(3).normal(size=60)  # cannot be learned: validation soon gets worse
    path = make_events(60, linear=noise)
    settings = make_settings(LINEAR, epochs=200, patience=3, learning_rate=0.02)
    model = perceptron(64, 64, 1)
    result = train(model, signature, settings, [path], seed=1)
    losses = [epoch.validation_loss for epoch in result.epochs]
    assert result.best_epoch == 1 + int(np.argmin(losses))
    assert len(losses) == result.best_epoch + 3 < 200
    assert [epoch.epoch for epoch in result.epochs if epoch.best] == [result.best_epoch]
    assert [epoch.epoch for epoch in result.epochs] == list(range(1, len(losses) + 1))
    again = perceptron(64, 64, 1)
    shorter = make_settings(LINEAR, epochs=result.best_epoch, patience=3, learning_rate=0.02)
    train(again, signature, shorter, [path], seed=1)
    assert same(state(model), state(again))
    assert not model.training


def test_validation_loss_is_that_of_the_returned_model(make_events, make_signature, make_settings) -> None:
    model, path = perceptron(8, 1), make_events(500)
    result = train(model, make_signature(out=1), make_settings(LINEAR, epochs=3), [path], seed=1)
    file = open_training_file(path, make_signature(out=1), make_settings(LINEAR))
    batches = [file.batch(begin, end) for begin, end in file.split.validation]
    xy, truth = torch.cat([inputs[0] for inputs, _ in batches]), torch.cat([t[0] for _, t in batches])
    assert len(xy) == 100
    expected = ((model(xy) - truth) ** 2).mean().item() / training_variance([file], 0)
    assert result.epochs[result.best_epoch - 1].validation_loss == pytest.approx(expected, rel=1e-5)


def test_validation_rows_are_never_trained_on(make_events, make_signature, make_settings) -> None:
    seen: set[float] = set()

    class Spy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 1)

        def forward(self, xy):
            if torch.is_grad_enabled():
                seen.update(xy[:, 0].tolist())
            return self.inner(xy)

    x = np.arange(50, dtype=np.float32)
    train(Spy(), make_signature(out=1), make_settings(LINEAR, batch_size=7), [make_events(50, x=x)], seed=1)
    assert seen == {row for row in range(50) if row % 5 != 4}


def test_one_class_on_a_side_is_a_warning(make_events, make_signature, make_settings, capsys) -> None:
    side = np.full(100, 4)
    settings = make_settings(("out", "side", "binary_cross_entropy", 5), epochs=1)
    for first, warnings in ((0, 1), (9, 1), (4, 0)):
        side[:] = 4
        side[first : first + 1] = 5
        side[50:] = 4 + (np.arange(50) % 2) * (first == 4)
        path = make_events(100, side=side)
        train(perceptron(8, 1, last=nn.Sigmoid()), make_signature(out=1), settings, [path], seed=1)
        told = capsys.readouterr().err
        assert told.count("warning: the ") == warnings
        assert told.count("'jets/side'") == warnings


@pytest.mark.parametrize("classes", [(5, 4), (4, 5)])
def test_signal_then_background_is_validated_on_both(
    make_events, make_signature, make_settings, classes, capsys
) -> None:
    seen: set[float] = set()

    class Spy(nn.Linear):
        def forward(self, xy):
            if not torch.is_grad_enabled():
                seen.update(xy[:, 0].tolist())
            return torch.sigmoid(super().forward(xy))

    side = np.repeat(classes, [300, 200])
    path = make_events(500, side=side, x=side)
    settings = make_settings(("out", "side", "binary_cross_entropy", 5), epochs=1)
    train(Spy(2, 1), make_signature(out=1), settings, [path], seed=1)
    assert seen == {4, 5}
    assert capsys.readouterr().err == ""


def test_batches_differ_from_epoch_to_epoch(make_events, make_signature, make_settings) -> None:
    batches: list[tuple[float, ...]] = []

    class Spy(nn.Linear):
        def forward(self, xy):
            if torch.is_grad_enabled():
                batches.append(tuple(xy[:, 0].tolist()))
            return super().forward(xy)

    x = np.arange(100, dtype=np.float32)
    settings = make_settings(LINEAR, batch_size=10, epochs=3, validation_fraction=0)
    train(Spy(2, 1), make_signature(out=1), settings, [make_events(100, x=x)], seed=1)
    assert sum(len(batch) for batch in batches) == 300
    firsts = [batch[0] for batch in batches]
    first_epoch = firsts[: len(firsts) // 3]
    assert first_epoch != sorted(first_epoch)
    assert len({first % 10 for first in firsts if first}) == 3


@pytest.mark.parametrize("files", [0, 1, 2])
def test_no_rows_leave_the_initial_weights(make_events, make_signature, make_settings, files) -> None:
    model = perceptron(8, 1)
    before = state(model)
    paths = [make_events(0, f"{index}.h5") for index in range(files)]
    result = train(model, make_signature(out=1), make_settings(LINEAR), paths, seed=1)
    assert (result.epochs, result.best_epoch) == ([], 0)
    assert same(state(model), before)


@pytest.mark.parametrize("rows", [1, 2, 3, 33, 65])
def test_few_rows_and_short_last_batches(make_events, make_signature, make_settings, rows) -> None:
    model = perceptron(8, 1)
    before = state(model)
    settings = make_settings(LINEAR, batch_size=32, epochs=40)
    result = train(model, make_signature(out=1), settings, [make_events(rows)], seed=1)
    assert result.best_epoch > 0
    assert not same(state(model), before)
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


def test_files_without_rows_beside_files_with_rows(make_events, make_signature, make_settings) -> None:
    paths = [make_events(0, "a.h5"), make_events(100, "b.h5"), make_events(1, "c.h5")]
    assert train(perceptron(8, 1), make_signature(out=1), make_settings(LINEAR), paths, seed=1).best_epoch > 0


def test_repeats_bit_by_bit_and_leaves_global_state_alone(make_events, make_signature, make_settings) -> None:
    def run(seed: int) -> dict[str, torch.Tensor]:
        model = nn.Sequential(perceptron(16, 16), nn.Dropout(0.3), nn.Linear(16, 1))
        torch.manual_seed(9)
        for parameter in model[2].parameters():
            nn.init.normal_(parameter)
        torch.manual_seed(np.random.default_rng().integers(1 << 30))
        before = torch.get_rng_state()
        torch.set_deterministic_debug_mode("default")
        train(model, make_signature(out=1), make_settings(LINEAR, epochs=3), [make_events(200)], seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.get_deterministic_debug_mode() == 0
        return state(model)

    first = run(1)
    assert same(run(1), first)
    assert not same(run(2), first)


SCRIPT = """
import sys
from pathlib import Path
import yaml
from soaflow.models.loading import build_model
from soaflow.models.weights import write_weights
from soaflow.soa.signature import Signature
from soaflow.train.curve import write_curve
from soaflow.train.loop import train
from soaflow.train.settings import TrainingSettings

entry = yaml.safe_load(Path(sys.argv[1]).read_text())
model = build_model("soaflow.models.jet_tagger:JetTagger", {"features": 2}, seed=3)
settings = TrainingSettings.from_mapping(entry["training"])
result = train(model, Signature.from_mapping(entry["signature"]), settings, [sys.argv[2]], seed=4)
write_weights(sys.argv[3] + ".pt", model)
write_curve(sys.argv[3] + ".tsv", result.epochs)
"""


def test_fresh_processes_write_equal_bytes(make_events, make_signature, tmp_path) -> None:
    target = {
        "output": "out",
        "collection": "jets",
        "item": "side",
        "loss": "binary_cross_entropy",
        "equals": 5,
    }
    training = {"epochs": 4, "batch_size": 32, "learning_rate": 0.01, "targets": [target]}
    entry = {"training": training, "signature": make_signature(out=1).to_mapping()}
    (tmp_path / "entry.yaml").write_text(yaml.safe_dump(entry))
    path = make_events(300)
    for name, environment in (
        ("a", {"PYTHONHASHSEED": "1"}),
        ("b", {"PYTHONHASHSEED": "2", "OMP_NUM_THREADS": "2"}),
    ):
        command = [
            sys.executable,
            "-c",
            SCRIPT,
            str(tmp_path / "entry.yaml"),
            str(path),
            str(tmp_path / name),
        ]
        subprocess.run(command, check=True, env={**os.environ, **environment})
    assert sha256_of_file(tmp_path / "a.pt") == sha256_of_file(tmp_path / "b.pt")
    assert (tmp_path / "a.tsv").read_text() == (tmp_path / "b.tsv").read_text()
    untrained = build_model("soaflow.models.jet_tagger:JetTagger", {"features": 2}, seed=3)
    write_weights(tmp_path / "c.pt", untrained)
    assert sha256_of_file(tmp_path / "c.pt") != sha256_of_file(tmp_path / "a.pt")


def test_a_model_without_parameters(make_events, make_signature, make_settings) -> None:
    with pytest.raises(TrainingError, match="Identity has no parameters to train"):
        train(
            nn.Identity(),
            make_signature(out=2),
            make_settings(("out", "pair", "squared_error")),
            [make_events(9)],
            seed=1,
        )


def test_a_loss_that_is_not_finite(make_events, make_signature, make_settings) -> None:
    settings = make_settings(LINEAR, learning_rate=1e30)
    with pytest.raises(
        TrainingError, match=r"loss of Sequential became (nan|inf) in epoch 1: lower the learning_rate"
    ):
        train(perceptron(8, 1), make_signature(out=1), settings, [make_events(200)], seed=1)


def test_a_model_that_does_not_take_its_inputs(make_events, make_signature, make_settings) -> None:
    with pytest.raises(TrainingError, match=r"Linear cannot be called with xy \[\d+, 2\]: mat1 and mat2"):
        train(
            nn.Linear(3, 1),
            make_signature(out=1),
            make_settings(LINEAR, batch_size=32),
            [make_events(41)],
            seed=1,
        )


@pytest.mark.parametrize(
    ("model", "sentence"),
    [(nn.Linear(2, 4), "shape"), (Heads(), "returned 2 outputs"), (nn.LSTM(2, 1), "returned 2 outputs")],
)
def test_outputs_that_are_not_declared(make_events, make_signature, make_settings, model, sentence) -> None:
    with pytest.raises(ModelError, match=sentence):
        train(model, make_signature(out=1), make_settings(LINEAR), [make_events(60)], seed=1)


@pytest.mark.parametrize(
    ("forward", "target", "sentence"),
    [
        (lambda _: 1 / 0, LINEAR, "cannot be called with xy .*: division by zero"),
        (lambda x: x.no_such_thing, LINEAR, "cannot be called with xy .*no_such_thing"),
        (lambda x: x.detach(), LINEAR, "has no gradient: element 0 of tensors does not require grad"),
        (
            lambda x: x * 100,
            ("out", "fraction", "binary_cross_entropy"),
            "the loss of Function cannot be computed",
        ),
    ],
    ids=["raises", "attribute", "no gradient", "no probability"],
)
def test_whatever_a_model_does_wrong_is_a_sentence(
    make_events, make_signature, make_settings, forward, target, sentence
) -> None:
    class Function(nn.Linear):
        def forward(self, values):
            return forward(super().forward(values))

    with pytest.raises(TrainingError, match=sentence) as raised:
        train(Function(2, 1), make_signature(out=1), make_settings(target), [make_events(60)], seed=1)
    assert "\n" not in str(raised.value)
