"""The check that every program and artifact passes before it is handed over.

It is called as jobs call it, with views of collections at several row counts, capacities S and
offsets, and must give what the eager model gives. The invariant: what `check_against_eager` returns
for is right for other batch sizes, strides and values than those it was exported with.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from soaflow.errors import ExportError, ModelError
from soaflow.export.examples import CallShape, Values, example_inputs, shapes_to_check
from soaflow.soa.calls import call_rows, check_inputs, check_outputs
from soaflow.soa.contract import RETURNED
from soaflow.soa.outputs import OutputBlob
from soaflow.soa.signature import RowRange, Signature
from soaflow.threads import on_one_thread

Model = Callable[..., Any]
"""What is called with the inputs one by one and returns a tensor, or a tuple or list of tensors."""

TOLERANCES = {"float64": 1e-12, "float32": 1e-5, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest difference allowed by dtype, relative to the largest value of an output (at least 1).

It is for inputs of at most 2 and grows with them, as rounding errors in front of a softmax do.
"""

_VALUES = (
    Values(largest=2.0),
    Values(largest=2.0, signed=True, integers=12),
    Values(largest=100.0),
    Values(largest=100.0, signed=True, integers=12),
    Values(largest=14.0),
    Values(largest=14.0, signed=True, integers=12),
)
"""Values of the calls, in turn.

Both signs, as a trace keeps one side of a branch. Small, middle and large ones, as a probability may hardly
vary over small ones, and over large ones, in 16 bits, by less than what is allowed there.
"""

_FEWER_INTEGERS = (3, 2)
"""For models that fail on larger ones, such as those with a table of three classes."""


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
    largest_integer
        Largest that sliced integer inputs, if any, were tried with: less for models that fail on more.
    """

    calls: tuple[CallShape, ...]
    tolerance: float
    largest_difference: dict[str, float]
    largest_value: dict[str, float]
    variation: dict[str, float]
    largest_integer: int

    def to_mapping(self) -> dict[str, Any]:
        """Return the figures as plain JSON values, for the passport."""
        return {**asdict(self), "calls": [asdict(shape) for shape in self.calls]}


def as_tensors(result: Any) -> tuple[Any, ...]:
    """Return a model's result as a tuple of its outputs."""
    return tuple(result) if isinstance(result, tuple | list) else (result,)


def returning(run: Model, signature: Signature, outputs_are: str) -> Model:
    """Return a model that gives its outputs back, for one that may store them.

    Each call makes views of a blob with room for more rows than it stores, and fails if the model writes
    outside them.

    Parameters
    ----------
    run
        Takes the inputs and, if it stores its outputs, a tensor for each of them.
    signature
        As it is for what the model computes in.
    outputs_are
        `soaflow.soa.contract.RETURNED` or `STORED`.
    """
    if outputs_are == RETURNED:
        return run

    def call(*inputs: torch.Tensor) -> list[torch.Tensor]:
        rows = call_rows(signature, inputs)
        begin, end = _ROWS_BEFORE, _ROWS_BEFORE + rows
        stored = OutputBlob(signature, end + rows)
        run(*inputs, *stored.rows(begin, end))
        if not stored.untouched_but(begin, end):
            raise ExportError("it writes outside the rows that its outputs are to be stored in")
        return stored.rows(begin, end)

    return call


_ROWS_BEFORE = 5
"""Rows of the outputs in front of those that a checked call stores."""


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
        check_outputs(signature, call_rows(signature, inputs), outputs)
    except ModelError as error:
        raise ModelError(f"model {model_name}: {error}") from error
    return outputs


@on_one_thread()
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
        If the candidate fails, its outputs differ, or an eager output varies over the rows of no call by
        more than what is allowed there.
    ModelError
        If the eager model itself does not fit the signature.
    """
    calls = tuple(shapes_to_check() if shapes is None else shapes)
    tolerance = TOLERANCES[dtype]
    differences = {output.name: 0.0 for output in signature.outputs}
    values, variations = dict(differences), dict(differences)
    blind = list(differences)
    integers = 0
    for seed, shape in enumerate(calls):
        where = (
            f"{what} of model {model_name} at {shape.rows} rows from row {shape.offset} of a collection of "
            f"{shape.capacity}"
        )
        with torch.no_grad():
            inputs, values_of_call, expected = _eager_call(eager, signature, shape, seed, model_name)
            integers = max(integers, values_of_call.integers)
            try:
                got = as_tensors(candidate(*inputs))
                check_outputs(signature, shape.rows, got)
            except Exception as error:
                raise ExportError(f"the {where} fails: {first_line(error)}") from error
        for output, one, other in zip(signature.outputs, expected, got, strict=True):
            difference, value = _difference(one.double(), other.double())
            variation = _variation(one.double())
            allowed = tolerance * max(1.0, value) * values_of_call.largest / _VALUES[0].largest
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
        largest = max(values_of_call.largest for values_of_call in _VALUES)
        raise ExportError(
            f"the {what} of model {model_name} cannot be checked, as output '{blind[0]}' of the eager model "
            f"varies by less than {dtype} may differ, with inputs from {-largest:g} to {largest:g}: check "
            "its weights"
        )
    return CheckFigures(calls, tolerance, differences, values, variations, integers - 1)


def first_line(error: Exception) -> str:
    """Return an exception as one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _eager_call(
    eager: Model, signature: Signature, shape: CallShape, seed: int, model_name: str
) -> tuple[tuple[torch.Tensor, ...], Values, tuple[torch.Tensor, ...]]:
    """Return inputs of a call that the eager model takes, their range, and its outputs."""
    values = _VALUES[seed % len(_VALUES)]
    fewer = iter(_FEWER_INTEGERS if _slices_integers(signature) else ())
    while True:
        inputs = example_inputs(signature, shape, seed, values)
        check_inputs(signature, inputs)
        try:
            return inputs, values, eager_outputs(eager, signature, inputs, model_name)
        except ModelError:
            integers = next(fewer, None)
            if integers is None:
                raise
            values = replace(values, integers=min(integers, values.integers))


def _slices_integers(signature: Signature) -> bool:
    items = [spec.layout[spec.items[0]] for spec in signature.inputs if spec.rows is RowRange.SLICED]
    return not all(item.floating for item in items)


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
