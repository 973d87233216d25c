import pytest
import torch
from torch import nn

from soaflow.errors import ArtifactError
from soaflow.export.jit import jit_bytes
from soaflow.models.torchscript import constants, freeze_on_device, load_torchscript
from soaflow.soa.layout import Item, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput

SIGNATURE = Signature(
    (TensorInput("x", "points", Layout.of(Item("a", "float32"), Item("b", "float32")), ("a", "b")),),
    (TensorOutput("y", ("y",)),),
    Layout.of(Item("y", "float32")),
)


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Linear(8, 1)

    def forward(self, x):
        scale = torch.exp(self.last.bias)
        return self.last(torch.relu(self.norm(self.first(x)))) * scale


@pytest.fixture(params=["trace", "script"])
def artifact(request, tmp_path):
    torch.manual_seed(1)
    model = Normed().eval()
    path = tmp_path / "Net.pt"
    path.write_bytes(jit_bytes(model, SIGNATURE, request.param, "Net"))
    return model, path


def test_freezing_where_it_runs_leaves_the_model_the_same(artifact):
    model, path = artifact
    x = torch.randn(50, 2)
    as_exported, frozen_again = load_torchscript(path, "cpu"), load_torchscript(path, "cpu")
    freeze_on_device(frozen_again, "cpu", path)
    with torch.inference_mode():
        assert torch.equal(frozen_again(x), as_exported(x))
        assert torch.allclose(frozen_again(x), model(x), atol=1e-6)
    assert not list(frozen_again.parameters())
    assert constants(frozen_again)


def test_a_weight_that_stays_on_another_device_is_named(artifact):
    _, path = artifact
    program = load_torchscript(path, "cpu")
    with pytest.raises(ArtifactError, match="keeps tensors on cpu when it is loaded for meta: take backend"):
        freeze_on_device(program, "meta", path)


def test_what_is_no_torchscript_is_named(tmp_path):
    (tmp_path / "Net.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(ArtifactError, match=r"Net\.pt cannot be loaded as TorchScript: export it again"):
        load_torchscript(tmp_path / "Net.pt", "cpu")
