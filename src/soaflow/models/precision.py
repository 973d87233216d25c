"""The precision in which a model computes, apart from that of its inputs.

The invariant: a model in any precision is called with the same tensors, the zero-copy views of the
items in their own dtypes. The casts are the first operations of its graph.

>>> model = InPrecision(torch.nn.Linear(2, 1), torch.float64)
>>> model(torch.ones(3, 2, dtype=torch.float32)).dtype
torch.float64
"""

import copy
import inspect
from collections.abc import Sequence

import torch
from torch import fx, nn

from soaflow.errors import ModelError


def cast_floating(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return floating values in `dtype`, and values already in it, integers and masks as they are."""
    if values.is_floating_point() and values.dtype != dtype:
        return values.to(dtype)
    return values


def forward_inputs(model: nn.Module, names: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the parameters of a model's `forward` that take its inputs.

    Parameters
    ----------
    model
        Its `forward` takes each input by position; further parameters have defaults.
    names
        Of the inputs, in the order of the call; one input for each parameter without a default unless
        given. A name need not be that of its parameter, but must not be that of another one.

    Raises
    ------
    ModelError
        If `forward` takes a variable number of inputs or needs keywords, takes fewer or more inputs, or
        has the inputs in another order.

    Examples
    --------
    >>> forward_inputs(torch.nn.Linear(2, 1), ["particles"])
    ('input',)
    """
    what = f"the forward of {type(model).__name__}"
    parameters = inspect.signature(model.forward).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise ModelError(
                f"{what} takes any number of inputs (*{parameter.name}): give it one parameter for each input"
            )
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            raise ModelError(
                f"{what} needs the keyword '{parameter.name}', and inputs are given by position: "
                "give it a default or put it before the *"
            )
    needed = sum(parameter.default is parameter.empty for parameter in positional)
    count = needed if names is None else len(names)
    if not needed <= count <= len(positional):
        allowed = str(needed) if needed == len(positional) else f"{needed} to {len(positional)}"
        raise ModelError(
            f"{what} takes {allowed} inputs, and the model's entry has {count}: list one for each parameter"
        )
    taken = tuple(parameter.name for parameter in positional[:count])
    for name, parameter_name in zip(names or (), taken, strict=False):
        if name != parameter_name and any(name == parameter.name for parameter in positional):
            raise ModelError(
                f"{what} would take input '{name}' as its parameter '{parameter_name}', and has a parameter "
                f"'{name}' of its own: list the inputs in the order of forward"
            )
    return taken


class InPrecision(fx.GraphModule):
    """A model whose parameters are in `dtype` and whose floating inputs are cast to it first.

    It takes the inputs of the model's own `forward`, under the names of its parameters, and returns what
    that returns, in `dtype`. Parameters that no input is for keep their defaults. It can be traced,
    scripted if the model can, and exported. Where an input is in `dtype` already, no operation is added.

    Parameters
    ----------
    model
        Is copied; the caller's keeps its precision.
    dtype
        Such as `torch.float64`.
    names
        Of the inputs in the order of the call, as `forward_inputs` takes them.

    Raises
    ------
    ModelError
        As `forward_inputs`.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype, names: Sequence[str] | None = None) -> None:
        # A graph and not a `forward(*inputs)`: TorchScript has no variable number of arguments, and
        # an exported program takes its input names from the signature.
        graph = fx.Graph()
        inputs = [graph.placeholder(name) for name in forward_inputs(model, names)]
        casts = tuple(graph.call_function(cast_floating, (value, dtype)) for value in inputs)
        graph.output(graph.call_module("model", casts))
        super().__init__({"model": copy.deepcopy(model).to(dtype)}, graph, type(self).__name__)
        self.train(model.training)
