"""The precision in which a model computes, apart from that of its inputs.

The invariant: a model in any precision is called with the same tensors, the zero-copy views of the
items in their own dtypes. The casts are the first operations of its graph.

>>> model = InPrecision(torch.nn.Linear(2, 1), torch.float64)
>>> model(torch.ones(3, 2, dtype=torch.float32)).dtype
torch.float64
"""

import copy
import inspect

import torch
from torch import fx, nn


def cast_floating(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return floating values in `dtype`, and values already in it, integers and masks as they are."""
    if values.is_floating_point() and values.dtype != dtype:
        return values.to(dtype)
    return values


class InPrecision(fx.GraphModule):
    """A model whose parameters are in `dtype` and whose floating inputs are cast to it first.

    It takes the inputs of the model's own `forward`, under the same names, and returns what that
    returns, in `dtype`. It can be traced, scripted if the model can, and exported. Where an input is
    in `dtype` already, no operation is added.

    Parameters
    ----------
    model
        Is copied; the caller's keeps its precision.
    dtype
        Such as `torch.float64`.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        # A graph and not a `forward(*inputs)`: TorchScript has no variable number of arguments, and
        # an exported program takes its input names from the signature.
        graph = fx.Graph()
        inputs = [graph.placeholder(name) for name in inspect.signature(model.forward).parameters]
        casts = tuple(graph.call_function(cast_floating, (value, dtype)) for value in inputs)
        graph.output(graph.call_module("model", casts))
        super().__init__({"model": copy.deepcopy(model).to(dtype)}, graph, type(self).__name__)
        self.train(model.training)
