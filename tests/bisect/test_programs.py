import pytest
import torch
from torch import nn

from soaflow.bisect.search import bisect


class InHalf(nn.Module):
    def forward(self, values):
        return torch.tanh(values.half()).float()


class Log(nn.Module):
    """NaN for some rows."""

    def forward(self, values):
        return torch.log(values + 1)


class Twice(nn.Module):
    def forward(self, values):
        return torch.tanh(values) * 1.001


def test_a_perturbed_weight_in_the_middle(found, net):
    faulty = net()
    with torch.no_grad():
        faulty.last[0].weight[3, 4] += 1e-3
    answer = found(faulty)
    operation, figures = answer.divergence.operation, answer.divergence.figures
    assert answer.diverges
    assert (operation.target, operation.module) == ("aten.linear.default", "last.0")
    assert operation.source.startswith("conftest.py:")
    assert 1e-4 < figures.difference < 2e-3
    assert figures.difference > figures.allowed(answer.factor)
    (of_input,) = answer.divergence.inputs.values()
    assert not of_input.diverges(answer.factor)
    text = answer.describe()
    assert text.startswith("first diverging operation: aten.linear.default")
    assert all(word in text for word in ("last.0", operation.source, "2500 rows", "tanh: difference"))


def test_a_divergence_that_only_late_rows_show(program, events, net):
    class Late(nn.Module):
        def forward(self, values):
            return torch.tanh(values) + 1e-2 * (values > 1.5)

    right, faulty = program(net()), program(net(Late()), "late")
    few = bisect(right, faulty, events, rows=1)
    every = bisect(right, faulty, events)
    assert not few.diverges
    assert every.divergence.operation.module == "last.0"
    assert every.divergence.instead[-2:] == ("aten.mul.Tensor", "aten.add.Tensor")


@pytest.mark.parametrize(
    ("middle", "module", "target", "instead"),
    [
        (nn.Sigmoid(), "middle", "aten.tanh.default", "aten.sigmoid.default"),
        (Log(), "last.0", "aten.linear.default", "aten.log.default"),
        (InHalf(), "middle", "aten.tanh.default", "aten.to.dtype"),
        (Twice(), "last.0", "aten.linear.default", "aten.mul.Tensor"),
    ],
)
def test_a_wrong_operation_in_the_middle(found, net, middle, module, target, instead):
    divergence = found(net(middle)).divergence
    assert (divergence.operation.module, divergence.operation.target) == (module, target)
    assert instead in divergence.instead
    if isinstance(middle, Log):
        assert divergence.figures.difference == float("inf")


def test_nan_that_the_right_model_has_too(found, net):
    assert not found(net(Log()), net(Log())).diverges


def test_one_of_several_outputs(found, net):
    faulty = net()
    with torch.no_grad():
        faulty.classes.bias[1] += 1e-3
    assert found(faulty).divergence.operation.module == "classes"


def test_a_factor_above_the_fault_finds_none(found, net):
    faulty = net()
    with torch.no_grad():
        faulty.last[0].bias += 2e-6
    assert found(faulty).diverges
    assert not found(faulty, factor=1000.0).diverges


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_a_model_without_a_fault(program, events, net, dtype):
    path = program(net(), dtype=dtype)
    answer = bisect(path, path, events)
    assert not answer.diverges
    assert answer.describe().startswith("no operation diverges\n2500 rows, ")


def test_another_dtype_diverges_where_it_begins(program, events, net):
    right, half = program(net()), program(net(), "half", dtype="float16")
    divergence = bisect(right, half, events).divergence
    assert divergence.operation.module == "first.0"
    assert "aten.to.dtype" in divergence.instead
    assert not bisect(half, right, events).diverges, "float32 is nearer to float64 than float16 is"


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("SimpleNet", "layers.4.bias"),
        ("MultiHeadNet", "regression_head.bias"),
        ("TinyResNet", "layers.3.layers.0.weight"),
        ("TrackHitDeepSet", "hit_encoder.2.bias"),
    ],
)
def test_the_models_of_the_default_configuration(program, default_model, events_of, name, parameter):
    model, signature = default_model(name)
    events, right = events_of(signature, 1500), program(model, signature=signature)
    assert not bisect(right, right, events).diverges
    with torch.no_grad():
        model.get_parameter(parameter).add_(1e-2)
    divergence = bisect(right, program(model, "faulty", signature=signature), events).divergence
    assert divergence.operation.module == parameter.rpartition(".")[0]
    assert divergence.operation.source.startswith("soaflow/models/")
