"""Values known beforehand: from CMSSW's own tests of these models, and from formulas."""

import pytest
import torch
from torch import nn

from soaflow.models.jet_tagger import JetTagger
from soaflow.models.masked_net import MaskedNet
from soaflow.models.multi_head_net import MultiHeadNet
from soaflow.models.simple_net import SimpleNet
from soaflow.models.tiny_resnet import ResidualBlock, TinyResNet


def fill(layers: nn.Module, weight: float, bias: float) -> None:
    for layer in layers.modules():
        if isinstance(layer, nn.Linear):
            nn.init.constant_(layer.weight, weight)
            nn.init.constant_(layer.bias, bias)


def test_multi_head_net_with_constant_weights() -> None:
    model = MultiHeadNet().double()
    fill(model.backbone, 0.025, 0.1)
    fill(model.regression_head, 0.03, 0.1)
    particles = torch.rand(50, 3, dtype=torch.float64) * 10
    value, probabilities = model(particles)
    torch.testing.assert_close(
        value, 4.1637952 + 0.3145728 * particles.sum(dim=1, keepdim=True), rtol=1e-7, atol=0
    )
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(50, dtype=torch.float64))


def test_linear_net_of_cmssw() -> None:
    linear = nn.Linear(3, 2, bias=False)
    linear.weight.data = torch.tensor([[-0.1, 0.2, 2.0], [0.1, -2.3, 4.0]])
    rows = torch.tensor([[1.0, 2, 1], [2, 4, 3], [3, 4, 1], [2, 3, 2]])
    expected = torch.tensor([[2.3, -0.5], [6.6, 3.0], [2.5, -4.9], [4.4, 1.3]])
    torch.testing.assert_close(linear(rows), expected, rtol=0, atol=1e-5)


def test_simple_net_with_constant_weights() -> None:
    model = SimpleNet().double()
    fill(model, 0.025, 0.1)
    particles = torch.rand(20, 3, dtype=torch.float64)
    hidden = particles.sum(dim=1, keepdim=True) * 0.025 + 0.1
    for width in (32, 64, 256, 64, 32):
        hidden = width * 0.025 * hidden + 0.1
    torch.testing.assert_close(model(particles), hidden)


def test_simple_net_has_no_last_activation() -> None:
    model = SimpleNet()
    fill(model, 0.0, -1.0)
    assert model(torch.zeros(1, 3)).item() == -1.0


@pytest.mark.parametrize(
    ("mask", "expected"), [((0, 0, 0), 7.0), ((1, 0, 0), 6.0), ((0, 1, 1), 1.0), ((1, 1, 1), 0.0)]
)
def test_masked_net_sums_what_is_not_masked(mask, expected) -> None:
    masks = torch.tensor([mask], dtype=torch.uint8)
    assert MaskedNet()(torch.tensor([[1.0, 2.0, 4.0]]), masks).tolist() == [[expected]]


def test_number_of_parameters() -> None:
    counts = {
        type(model).__name__: sum(parameter.numel() for parameter in model.parameters())
        for model in (SimpleNet(), MaskedNet(), MultiHeadNet(), TinyResNet(), JetTagger(14))
    }
    backbone = (3 + 1) * 32 + (32 + 1) * 64 + (64 + 1) * 256 + (256 + 1) * 64 + (64 + 1) * 32
    blocks = 2 * 2 * (16 * 16 * 9 + 2 * 16) + 2 * 2 * (32 * 32 * 9 + 2 * 32)
    assert counts == {
        "SimpleNet": backbone + 33,
        "MaskedNet": 0,
        "MultiHeadNet": backbone + 33 + 33 * 3,
        "TinyResNet": 3 * 16 * 9 + 2 * 16 + blocks + (16 * 9 + 1) * 32 + 33 * 10,
        "JetTagger": 2 * 14 + 15 * 32 + 33 * 32 + 33,
    }


def test_tiny_resnet_returns_probabilities() -> None:
    probabilities = TinyResNet().eval()(torch.randn(6, 3, 9, 9))
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(6))
    assert (probabilities >= 0).all()


def test_a_residual_block_adds_to_its_input() -> None:
    block = ResidualBlock(4).eval()
    nn.init.zeros_(block.layers[-1].weight)
    images = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(images), torch.relu(images))


def test_tiny_resnet_looks_at_each_pixel() -> None:
    image = torch.randn(1, 3, 9, 9, requires_grad=True)
    TinyResNet().eval()(image)[0, 3].backward()
    assert (image.grad != 0).all()


def test_jet_tagger_normalises_inside() -> None:
    model = JetTagger(features=2)
    jets = torch.randn(200, 2)
    before = model.train()(jets)
    after = model(jets * torch.tensor([1000.0, 0.1]) + torch.tensor([50.0, -3.0]))
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3)
    assert isinstance(next(iter(model.layers)), nn.BatchNorm1d)
