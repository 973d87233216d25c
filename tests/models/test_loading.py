"""Models by import path."""

import sys

import pytest
import torch

from soaflow.errors import ModelError
from soaflow.models.loading import build_model

SIMPLE_NET = "soaflow.models.simple_net:SimpleNet"


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_same_seed_same_weights_and_global_state_untouched() -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    first = build_model(SIMPLE_NET, {}, seed=1)
    assert torch.equal(torch.rand(3), expected)
    torch.rand(100)
    assert torch.equal(weights(build_model(SIMPLE_NET, {}, seed=1)), weights(first))
    assert not torch.equal(weights(build_model(SIMPLE_NET, {}, seed=2)), weights(first))


def test_passes_arguments_and_is_ready_to_predict() -> None:
    model = build_model("soaflow.models.jet_tagger:JetTagger", {"features": 4, "width": 7}, seed=0)
    assert model.layers[1].weight.shape == (7, 4)
    assert not model.training


def test_from_a_file(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    source = "import torch\nclass Twice(torch.nn.Module):\n    factor = {}\n"
    (tmp_path / "mine.py").write_text(source.format(2))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.py").write_text(source.format(3))
    first = build_model(f"{tmp_path}/mine.py:Twice", {}, seed=0)
    second = build_model(f"{tmp_path}/other/mine.py:Twice", {}, seed=0)
    assert (first.factor, second.factor) == (2, 3)
    assert type(build_model(f"{tmp_path}/mine.py:Twice", {}, seed=0)) is type(first)
    assert str(tmp_path) not in type(first).__module__


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_model_from_a_file_can_be_scripted(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    source = "import torch\nclass Same(torch.nn.Module):\n    def forward(self, x):\n        return x\n"
    (tmp_path / "same.py").write_text(source)
    scripted = torch.jit.script(build_model(f"{tmp_path}/same.py:Same", {}, seed=0))
    assert scripted(torch.ones(2)).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("class_path", "arguments", "sentence"),
    [
        ("SimpleNet", {}, "not of the form package.module:Class"),
        ("soaflow.models.simple_net:", {}, "not of the form package.module:Class"),
        ("soaflow.models.missing:Net", {}, "there is no module 'soaflow.models.missing'"),
        ("no_such_package.net:Net", {}, "there is no module 'no_such_package.net'"),
        ("soaflow.models.simple_net:Missing", {}, "has no class 'Missing'"),
        ("soaflow.models.loading:build_model", {}, "is not a torch.nn.Module"),
        ("soaflow.errors:ModelError", {}, "is not a torch.nn.Module"),
        (SIMPLE_NET, {"depth": 3}, r"does not take the arguments \(depth\)"),
        ("soaflow.models.jet_tagger:JetTagger", {}, r"does not take the arguments \(none\)"),
        (SIMPLE_NET, {"features": -1}, "cannot be built with the arguments"),
        (SIMPLE_NET, {"features": "three"}, "cannot be built with the arguments"),
        ("missing/file.py:Net", {}, "missing/file.py cannot be read"),
    ],
)
def test_a_fault_is_a_sentence(class_path, arguments, sentence) -> None:
    with pytest.raises(ModelError, match=sentence):
        build_model(class_path, arguments, seed=0)


@pytest.mark.parametrize(
    "source", ["import no_such_package", "def broken(:", "raise OSError('x')", "raise ValueError('x\\ny')"]
)
def test_a_file_that_does_not_import(tmp_path, source) -> None:
    (tmp_path / "net.py").write_text(source)
    before = set(sys.modules)
    with pytest.raises(ModelError, match=r"net\.py cannot be imported: \w+Error: ") as raised:
        build_model(f"{tmp_path}/net.py:Net", {}, seed=0)
    assert "\n" not in str(raised.value)
    assert set(sys.modules) == before


def test_a_file_that_exits(tmp_path) -> None:
    (tmp_path / "net.py").write_text("import sys\nsys.exit('no GPU')\n")
    with pytest.raises(ModelError, match=r"net\.py cannot be imported: SystemExit: no GPU"):
        build_model(f"{tmp_path}/net.py:Net", {}, seed=0)


def test_a_file_can_import_its_neighbours(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "neighbouring_layers.py").write_text("import torch\nLayer = torch.nn.Identity\n")
    path = tmp_path / "net.py"
    path.write_text("from neighbouring_layers import Layer\n\n\nclass Net(Layer):\n    pass\n")
    assert type(build_model(f"{path}:Net", {}, seed=1)).__name__ == "Net"
