"""Strides that an export keeps as symbols.

torch.export makes sizes symbols on request, but takes strides from the example. Code compiled from
such a program reads an SoA view at the example's strides, without an error. Here the strides of the
example inputs become symbols of their own, except that of the rows, which is 1.

This uses a private function of torch (seen in 2.13.0). The invariant: if torch changes it, the export
fails with a sentence, and `check_strides` looks at the program itself.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch._export import non_strict_utils
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx.experimental.symbolic_shapes import DimDynamic

from soaflow.errors import ExportError

_GUARDS = "_guards_code"
_REMEDY = "remove is_contiguous, stride and the like from it"
_HOOK = "_create_symbolic_context_for_tensor"


@contextmanager
def symbolic_strides(examples: Sequence[torch.Tensor]) -> Iterator[None]:
    """Let `torch.export.export(..., strict=False)` make the strides of these inputs symbols.

    Parameters
    ----------
    examples
        The inputs given to the export, rows first; tensors that are views of others lose their strides.

    Raises
    ------
    ExportError
        If this torch has no such function any more, or did not call it for each example.
    """
    original = getattr(non_strict_utils, _HOOK, None)
    if original is None:
        raise _changed(f"torch._export.non_strict_utils has no {_HOOK}")
    waiting = {id(example) for example in examples}

    def with_symbolic_strides(tensor: torch.Tensor, *arguments: Any) -> Any:
        context = original(tensor, *arguments)
        if id(tensor) in waiting:
            waiting.discard(id(tensor))
            strides = getattr(context, "dynamic_strides", None)
            if not isinstance(strides, list) or len(strides) != tensor.dim():
                raise _changed(f"{_HOOK} gives no list of strides")
            strides[1:] = [DimDynamic.DYNAMIC] * (tensor.dim() - 1)
        return context

    setattr(non_strict_utils, _HOOK, with_symbolic_strides)
    try:
        yield
    finally:
        setattr(non_strict_utils, _HOOK, original)
    if waiting:
        raise _changed(f"{_HOOK} was not called for every input")


def check_strides(program: ExportedProgram, model_name: str) -> None:
    """Check that a program fixes or bounds no stride of an input.

    Torch's own relations, such as that one stride is larger than another or unlike a size, hold for all
    views of collections or change the layout of results only.

    Raises
    ------
    ExportError
        If a stride in a dimension larger than 1 is a constant, or is compared with one.
    """
    for name, stride in _inner_strides(program):
        if not isinstance(stride, torch.SymInt) or not stride.node.expr.is_Symbol:
            raise ExportError(
                f"model {model_name}: the export fixed a stride of input '{name}' to {stride}, as the model "
                f"asks about its memory layout: {_REMEDY}"
            )
    guards = getattr(program, _GUARDS, None)
    if guards is None:
        raise _changed(f"an ExportedProgram has no {_GUARDS}")
    for guard in guards:
        if ".stride()" in guard and _bounds_by_constant(guard):
            raise ExportError(
                f"model {model_name}: the export needs {guard}, as the model asks for it: {_REMEDY}"
            )


def keep_stride_ranges(program: ExportedProgram) -> None:
    """Add the strides' symbols to the ranges of a checked program, as only those are saved with it."""
    for _, stride in _inner_strides(program):
        assert isinstance(stride, torch.SymInt)
        symbol = stride.node.expr
        program.range_constraints.setdefault(symbol, stride.node.shape_env.var_to_range[symbol])


def _inner_strides(program: ExportedProgram) -> Iterator[tuple[str, int | torch.SymInt]]:
    """Yield input name and stride of each dimension after the rows that is larger than 1."""
    inputs = {
        spec.arg.name for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT
    }
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in inputs:
            value = node.meta["val"]
            for size, stride in zip(value.shape[1:], value.stride()[1:], strict=True):
                if size != 1:
                    yield node.name, stride


def _bounds_by_constant(guard: str) -> bool:
    sides = re.split(r"<=|>=|==|<|>", guard)
    return any("L[" not in side for side in sides)


def _changed(what: str) -> ExportError:
    return ExportError(
        f"strides cannot be exported as symbols with torch {torch.__version__}, as {what}: "
        "use the torch version that pyproject.toml names"
    )
