"""The check that every program and artifact passes before it is handed over.

It is called as jobs call it, with views of collections at several row counts, capacities S and
offsets, and must give what the eager model gives. The invariant: what `check_against_eager` returns
for is right for other batch sizes, strides and values than those it was exported with.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from soaflow.errors import ExportError, ModelError
from soaflow.export.examples import CallShape, example_inputs, shapes_to_check
from soaflow.soa.contract import check_inputs, check_outputs
from soaflow.soa.signature import Signature

Model = Callable[..., Any]
"""What is called with the inputs one by one and returns a tensor, or a tuple or list of tensors."""

TOLERANCES = {"float64": 1e-12, "float32": 1e-5, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest difference allowed by dtype, relative to the largest value of an output (at least 1).

It is for inputs of at most 2 and grows with them, as rounding errors in front of a softmax do.
"""

_LARGEST = (2.0, 100.0)
"""Largest floating inputs of the calls, in turn: a saturated output shows no error."""


@dataclass(frozen=True, slots=True)
class CheckFigures:
    """What a check found.

    Parameters
    ----------
    calls
        Sizes of the calls.
    tolerance
        That the differences were held against.
    largest_difference
        By output: absolute, over all calls.
    largest_value
        By output: the largest absolute value of the eager model.
    variation
        By output: how far the eager model's rows of one call lie apart; a check sees errors below it only.
    """

    calls: tuple[CallShape, ...]
    tolerance: float
    largest_difference: dict[str, float]
    largest_value: dict[str, float]
    variation: dict[str, float]

    def to_mapping(self) -> dict[str, Any]:
        """Return the figures as plain JSON values, for the passport."""
        return {**asdict(self), "calls": [asdict(shape) for shape in self.calls]}


def as_tensors(result: Any) -> tuple[Any, ...]:
    """Return a model's result as a tuple of its outputs."""
    return tuple(result) if isinstance(result, tuple | list) else (result,)


def eager_outputs(
    model: Model, signature: Signature, inputs: tuple[torch.Tensor, ...], model_name: str
) -> tuple[torch.Tensor, ...]:
    """Call the eager model and check its outputs.

    Raises
    ------
    ModelError
        If the model does not take the inputs, or its outputs are not those of the signature.
    """
    try:
        outputs = as_tensors(model(*inputs))
    except Exception as error:
        raise ModelError(
            f"model {model_name} fails on inputs of its signature ({_sizes(signature, inputs)}): "
            f"{first_line(error)}"
        ) from error
    try:
        check_outputs(signature, inputs_rows(signature, inputs), outputs)
    except ModelError as error:
        raise ModelError(f"model {model_name}: {error}") from error
    return outputs


def check_against_eager(
    candidate: Model,
    eager: Model,
    signature: Signature,
    *,
    model_name: str,
    what: str,
    dtype: str,
    shapes: Iterable[CallShape] | None = None,
) -> CheckFigures:
    """Compare an exported model with the eager one, over several calls.

    Parameters
    ----------
    candidate, eager
        The exported and the eager model.
    signature
        Of both.
    model_name, what
        For errors: the model, and what was exported, such as `"AOT artifact"`.
    dtype
        In which both compute; a key of `TOLERANCES`.
    shapes
        Sizes of the calls; `shapes_to_check()` unless given.

    Raises
    ------
    ExportError
        If the candidate fails, its outputs differ, or the eager outputs are the same for all rows.
    ModelError
        If the eager model itself does not fit the signature.
    """
    calls = tuple(shapes_to_check() if shapes is None else shapes)
    tolerance = TOLERANCES[dtype]
    differences = {output.name: 0.0 for output in signature.outputs}
    values, variations = dict(differences), dict(differences)
    blind = list(differences)
    for seed, shape in enumerate(calls):
        largest = _LARGEST[seed % len(_LARGEST)]
        inputs = example_inputs(signature, shape, seed, largest)
        check_inputs(signature, inputs)
        where = (
            f"{what} of model {model_name} at {shape.rows} rows, S = {shape.capacity}, offset {shape.offset}"
        )
        with torch.no_grad():
            expected = eager_outputs(eager, signature, inputs, model_name)
            try:
                got = as_tensors(candidate(*inputs))
                check_outputs(signature, shape.rows, got)
            except Exception as error:
                raise ExportError(f"the {where} fails: {first_line(error)}") from error
        for output, one, other in zip(signature.outputs, expected, got, strict=True):
            difference, value = _difference(one.double(), other.double())
            variation, allowed = _variation(one.double()), tolerance * max(1.0, value) * largest / _LARGEST[0]
            if difference > allowed:
                raise ExportError(
                    f"the {where} differs from the eager model: output '{output.name}' by {difference:.3g} "
                    f"where {allowed:.3g} is allowed; it depends on the batch, "
                    "strides or values that it was exported with"
                )
            differences[output.name] = max(differences[output.name], difference)
            values[output.name] = max(values[output.name], value)
            variations[output.name] = max(variations[output.name], variation)
            if variation > 2 * allowed and output.name in blind:
                blind.remove(output.name)
    if blind:
        raise ExportError(
            f"the {what} of model {model_name} cannot be checked, as output '{blind[0]}' of the eager "
            f"model does not depend on the inputs, tried from 0.1 to {_LARGEST[-1]:g}: check its weights"
        )
    return CheckFigures(calls, tolerance, differences, values, variations)


def inputs_rows(signature: Signature, inputs: tuple[torch.Tensor, ...]) -> int:
    """Return the number of rows of a call, B."""
    pairs = zip(signature.inputs, inputs, strict=True)
    return next(len(tensor) for spec, tensor in pairs if spec.rows.value == "sliced")


def first_line(error: Exception) -> str:
    """Return an exception as one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _difference(expected: torch.Tensor, got: torch.Tensor) -> tuple[float, float]:
    """Return the largest difference (infinite if NaN or infinities do not match) and finite value."""
    finite = expected.isfinite()
    special = ~finite
    same = torch.equal(finite, got.isfinite()) and torch.equal(
        expected[special].nan_to_num(), got[special].nan_to_num()
    )
    if not same:
        return float("inf"), 0.0
    if not finite.any():
        return 0.0, 0.0
    return float((expected - got)[finite].abs().max()), float(expected[finite].abs().max())


def _variation(expected: torch.Tensor) -> float:
    """Return how far apart the rows of an output lie, where they are finite."""
    rows = expected[expected.isfinite().flatten(1).all(dim=1)]
    return float((rows.amax(dim=0) - rows.amin(dim=0)).max()) if len(rows) else 0.0


def _sizes(signature: Signature, inputs: tuple[torch.Tensor, ...]) -> str:
    pairs = zip(signature.inputs, inputs, strict=True)
    return ", ".join(f"{spec.name} {list(tensor.shape)}" for spec, tensor in pairs)
