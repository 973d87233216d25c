"""Losses against their formulas, and where logarithms end."""

import math

import pytest
import torch

from soaflow.train.losses import binary_cross_entropy, cross_entropy, squared_error


def test_squared_error_is_relative_to_the_variance() -> None:
    target = torch.tensor([[100.0], [300.0]])
    constant = torch.full((2, 1), 200.0)
    assert squared_error(constant, target, variance=10000.0).item() == 1.0
    assert squared_error(target, target, variance=10000.0).item() == 0.0


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.int64, torch.float64])
def test_squared_error_takes_any_dtype(dtype) -> None:
    loss = squared_error(torch.zeros(2, 1), torch.tensor([[1], [3]], dtype=dtype), variance=1.0)
    assert (loss.item(), loss.dtype) == (5.0, torch.float32)


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.int64])
def test_cross_entropy(dtype) -> None:
    output = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    loss = cross_entropy(output, torch.tensor([[1], [2]], dtype=dtype))
    assert loss.item() == pytest.approx(-(math.log(0.25) + math.log(0.8)) / 2)


def test_binary_cross_entropy() -> None:
    output = torch.tensor([[0.9], [0.2]])
    expected = -(math.log(0.9) + math.log(0.8)) / 2
    assert binary_cross_entropy(output, torch.tensor([[5], [0]]), 5).item() == pytest.approx(expected)
    assert binary_cross_entropy(output, torch.tensor([[1], [0]])).item() == pytest.approx(expected)
    soft = binary_cross_entropy(torch.tensor([[0.3]]), torch.tensor([[0.25]], dtype=torch.float64))
    assert soft.item() == pytest.approx(-0.25 * math.log(0.3) - 0.75 * math.log(0.7))


def test_a_probability_of_zero_is_finite_with_a_gradient_that_is_not_nan() -> None:
    logits = torch.tensor([[300.0, 0.0]], requires_grad=True)
    loss = cross_entropy(torch.softmax(logits, dim=1), torch.tensor([[1]]))
    loss.backward()
    assert math.isfinite(loss.item())
    assert logits.grad.isfinite().all()
    assert math.isfinite(binary_cross_entropy(torch.tensor([[0.0]]), torch.tensor([[1]])).item())
