"""A program's graph, run one operation at a time.

The invariant: a value is kept from its operation to the last one that uses it and no longer, so a walk
holds what is live at one place of the graph, never all intermediates. Weights are read, and widened, where
they are used.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Any

import torch
from torch import fx


class Walk:
    """One call of a program, operation by operation.

    Parameters
    ----------
    module
        Of the program, as `soaflow.export.program.eager_program` gives it.
    tensors
        Of the call, in the order of its parameters.
    widened
        Whether all that is floating is computed in float64: inputs, weights, and whatever dtype the graph
        names. Outputs to be stored must be float64 then.
    """

    def __init__(
        self, module: fx.GraphModule, tensors: Sequence[torch.Tensor], *, widened: bool = False
    ) -> None:
        self._module = module
        self._widened = widened
        self._tensors = iter(tensors)
        self._waiting: Iterator[fx.Node] = iter(module.graph.nodes)
        self._values: dict[fx.Node, Any] = {}
        self._last_used_at: dict[fx.Node, list[fx.Node]] = {}
        last_user = {used: node for node in module.graph.nodes for used in node.all_input_nodes}
        for used, user in last_user.items():
            self._last_used_at.setdefault(user, []).append(used)

    @property
    def held(self) -> int:
        """How many values of operations are kept at the moment."""
        return sum(node.op == "call_function" for node in self._values)

    def run_to(self, node: fx.Node) -> Any:
        """Run all operations up to this one, which must not have been passed, and return its value."""
        for current in self._waiting:
            value = self._run(current)
            for used in self._last_used_at.get(current, ()):
                self._values.pop(used, None)
            if current.users and current.op != "get_attr":
                self._values[current] = value
            if current is node:
                return value
        raise ValueError(f"operation {node} has been passed or is of another graph")

    def value(self, node: fx.Node) -> Any:
        """Return a value that is still to be used."""
        return self._values[node]

    def _run(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            return self._in_walk(next(self._tensors))
        if node.op == "get_attr":
            return None
        args: Any = fx.node.map_aggregate(node.args, self._resolved)
        kwargs: Any = fx.node.map_aggregate(node.kwargs, self._resolved)
        if node.op == "output":
            return args[0]
        assert callable(node.target)
        with torch.no_grad(), _default_dtype(torch.float64 if self._widened else torch.float32):
            return node.target(*args, **kwargs)

    def _resolved(self, leaf: Any) -> Any:
        if isinstance(leaf, fx.Node):
            if leaf.op == "get_attr":
                return self._in_walk(reduce(getattr, str(leaf.target).split("."), self._module))
            return self._values[leaf]
        if isinstance(leaf, torch.dtype) and leaf.is_floating_point and self._widened:
            return torch.float64
        return leaf

    def _in_walk(self, value: Any) -> Any:
        if self._widened and isinstance(value, torch.Tensor) and value.is_floating_point():
            return value.to(torch.float64)
        return value


def operations(module: fx.GraphModule) -> list[fx.Node]:
    """Return the operations of a program in the order of their execution."""
    return [node for node in module.graph.nodes if node.op == "call_function"]


def tensors_of(value: Any) -> list[torch.Tensor]:
    """Return the tensors in what an operation gave."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, tuple | list):
        return [tensor for part in value for tensor in tensors_of(part)]
    return []


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Give what creates tensors, such as `zeros`, the dtype that the walk computes in."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
