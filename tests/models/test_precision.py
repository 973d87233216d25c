"""Computing in another precision than the inputs'."""

import copy

import pytest
import torch
from torch import nn

from soaflow.models.precision import InPrecision


class Mixed(nn.Module):
    """Takes a floating and an integer input."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def forward(self, values: torch.Tensor, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.linear(values), index


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_casts_floating_inputs_only(dtype) -> None:
    model = InPrecision(Mixed(), dtype)
    index = torch.tensor([[1], [2]], dtype=torch.int32)
    value, same = model(torch.ones(2, 2, dtype=torch.float32), index)
    assert value.dtype == dtype
    assert same is index


def test_leaves_the_callers_model_alone() -> None:
    original = Mixed()
    wrapped = InPrecision(original, torch.float64)
    assert original.linear.weight.dtype == torch.float32
    wrapped.model.linear.weight.data.zero_()
    assert original.linear.weight.abs().sum() > 0


def test_computes_in_the_precision_and_not_only_returns_it() -> None:
    model = Mixed()
    nn.init.constant_(model.linear.weight, 1.0)
    nn.init.zeros_(model.linear.bias)
    values, index = torch.tensor([[1.0, 2.0**-30]]), torch.zeros(1, 1, dtype=torch.int32)
    assert InPrecision(model, torch.float64)(values, index)[0][0, 0].item() == 1 + 2.0**-30
    assert InPrecision(model, torch.float32)(values, index)[0][0, 0].item() == 1


def test_keeps_mode_and_input_names() -> None:
    model = InPrecision(Mixed().eval(), torch.float64)
    assert not model.training
    assert not model.model.training
    assert InPrecision(Mixed().train(), torch.float64).model.training
    program = torch.export.export(model, (torch.ones(2, 2), torch.ones(2, 1, dtype=torch.int32)))
    assert program.graph_signature.user_inputs == ("values", "index")


def test_float32_adds_no_operation() -> None:
    inputs = (torch.ones(2, 2), torch.ones(2, 1, dtype=torch.int32))

    def operations(model):
        graph = torch.export.export(model, inputs).graph
        return [str(node.target) for node in graph.nodes if node.op == "call_function"]

    assert operations(InPrecision(Mixed(), torch.float32)) == operations(Mixed())
    assert "aten.to.dtype" in operations(InPrecision(Mixed(), torch.float64))


def test_can_be_copied() -> None:
    model = InPrecision(Mixed(), torch.float64)
    inputs = (torch.ones(2, 2), torch.ones(2, 1, dtype=torch.int32))
    assert torch.equal(copy.deepcopy(model)(*inputs)[0], model(*inputs)[0])
