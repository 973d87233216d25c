"""Computing in another precision than the inputs'."""

import copy

import pytest
import torch
from torch import nn

from soaflow.errors import ModelError
from soaflow.models.precision import InPrecision, forward_inputs


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


class WithDefaults(nn.Module):
    def forward(
        self, x: torch.Tensor, y: torch.Tensor | None = None, scale: float = 3.0, *, shift: float = 1.0
    ):
        return x * scale + shift if y is None else x + y


@pytest.mark.parametrize("names", [None, ["x"], ["particles"]])
def test_parameters_with_defaults_keep_them(names) -> None:
    model = InPrecision(WithDefaults(), torch.float64, names)
    assert model(torch.ones(2, 1)).tolist() == [[4.0], [4.0]]


def test_parameters_with_defaults_can_be_inputs() -> None:
    model = InPrecision(WithDefaults(), torch.float64, ["x", "y"])
    assert model(torch.ones(2, 1), torch.ones(2, 1)).tolist() == [[2.0], [2.0]]


class KeywordOnly(nn.Module):
    def forward(self, x, *, mask):
        return x * mask


class AnyNumber(nn.Module):
    def forward(self, *tensors):
        return tensors[0]


@pytest.mark.parametrize(
    ("model", "names", "message"),
    [
        (KeywordOnly(), ["x", "mask"], "forward of KeywordOnly needs the keyword 'mask'"),
        (AnyNumber(), ["x"], r"forward of AnyNumber takes any number of inputs \(\*tensors\)"),
        (nn.Module(), ["x"], "forward of Module takes any number of inputs"),
        (Mixed(), ["values"], "forward of Mixed takes 2 inputs, and the model's entry has 1"),
        (Mixed(), ["values", "index", "more"], "takes 2 inputs, and the model's entry has 3"),
        (WithDefaults(), [], "takes 1 to 3 inputs, and the model's entry has 0"),
        (Mixed(), ["index", "values"], "would take input 'index' as its parameter 'values'"),
        (WithDefaults(), ["y"], "would take input 'y' as its parameter 'x'"),
    ],
)
def test_models_that_do_not_take_the_inputs_are_refused(model, names, message) -> None:
    with pytest.raises(ModelError, match=message):
        InPrecision(model, torch.float32, names)


def test_inputs_may_have_names_of_their_own() -> None:
    assert forward_inputs(Mixed(), ["particles", "hit_to_track"]) == ("values", "index")
