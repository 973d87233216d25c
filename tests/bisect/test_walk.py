import weakref

import pytest
import torch
from torch import nn

from soaflow.bisect.calls import Calls, Program
from soaflow.bisect.walk import operations, tensors_of


class Deep(nn.Module):
    """Twenty layers one after another, so that whoever keeps all outputs keeps twenty."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(20))

    def forward(self, values):
        for layer in self.layers:
            values = values + torch.tanh(layer(values))
        return values[:, :1], values


@pytest.mark.parametrize("widened", [False, True])
def test_values_are_freed_after_their_last_use(program, events, widened):
    walked = Program.read(program(Deep().eval()))
    (inputs,) = Calls(walked.signature, events, rows=100)
    walk = walked.walk(inputs, widened=widened)
    seen: list[weakref.ref] = []
    most = 0
    for node in operations(walked.module):
        value = walk.run_to(node)
        if node.target is torch.ops.aten.tanh.default:
            seen.append(weakref.ref(value))
        del value
        most = max(most, sum(one() is not None for one in seen))
        assert walk.held <= 3
    assert len(seen) == 20
    assert most == 1


@pytest.mark.parametrize("stored", [True, False])
def test_a_walk_gives_what_the_model_gives(program, events, net, stored):
    model = net()
    walked = Program.read(program(model, stored=stored))
    (inputs,) = Calls(walked.signature, events, rows=100)
    with torch.no_grad():
        torch.testing.assert_close(tuple(walked.outputs(inputs)), model(*inputs), rtol=0, atol=0)
        wide = walked.outputs(inputs, widened=True)
        expected = model.double()(inputs[0].double())
    torch.testing.assert_close(tuple(wide), expected, rtol=1e-14, atol=1e-14)


class CreatesAndCasts(nn.Module):
    """Whatever names a dtype, or takes the default one, would stop a float64 walk or round in it."""

    def forward(self, particles):
        table = torch.zeros(3, 3).index_add(0, torch.arange(3), torch.ones(3, 3, dtype=torch.float32))
        values = (particles.to(torch.float32) @ table).to(torch.bfloat16).to(torch.float32)
        return values[:, :1] / 3, values


def test_dtypes_that_the_graph_names_are_widened_too(program, events):
    walked = Program.read(program(CreatesAndCasts()))
    (inputs,) = Calls(walked.signature, events, rows=100)
    wide = walked.outputs(inputs, widened=True)
    sums = inputs[0].double().sum(dim=1, keepdim=True)
    torch.testing.assert_close(wide[0], sums / 3, rtol=1e-12, atol=1e-12)
    assert torch.get_default_dtype() == torch.float32


def test_an_operation_that_has_been_passed(program, events, net):
    walked = Program.read(program(net()))
    (inputs,) = Calls(walked.signature, events, rows=10)
    walk = walked.walk(inputs)
    first, second, *_ = operations(walked.module)
    walk.run_to(second)
    with pytest.raises(ValueError, match="has been passed"):
        walk.run_to(first)


def test_tensors_of_nested_values():
    one, two = torch.ones(1), torch.ones(2)
    assert tensors_of((one, [two, 3], None)) == [one, two]
