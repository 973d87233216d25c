"""What the caller of an artifact must hold, and what the artifact gives back.

The invariant: tensors that `check_inputs` accepts are views of SoA collections as
`soaflow.soa.views.plan_view` makes them, for some number of rows and some stride S. Compiled code
checks nothing and reads out of bounds, so this is checked before it is called. The checks look at
sizes and strides only and take microseconds.
"""

from collections.abc import Sequence
from typing import Any

import torch

from soaflow.errors import ContractError, ModelError
from soaflow.soa.layout import Item, ItemKind
from soaflow.soa.signature import RowRange, Signature, TensorInput
from soaflow.soa.views import inner_planes


def describe_contract(signature: Signature) -> dict[str, Any]:
    """Describe inputs and outputs as plain JSON values, for the passport.

    In `sizes`, B is the number of rows of one call and N that of a whole collection; in `strides`,
    in elements, S is the number of rows that the collection has room for, which each collection and
    dtype has its own of. The stride of a dimension of size 1 is free.

    Returns
    -------
    dict
        Lists `inputs` and `outputs`; each entry has name, dtype, sizes, strides, and each input its
        collection, alignment in bytes, range of rows and the SHA-256 of its collection's layout.
    """
    return {
        "inputs": [_describe_input(spec) for spec in signature.inputs],
        "outputs": [
            {
                "name": output.name,
                "dtype": item.dtype,
                "sizes": ["B", *_inner_sizes(item, len(output.items))],
            }
            for output in signature.outputs
            for item in [signature.output_layout[output.items[0]]]
        ],
        "output_layout_sha256": signature.output_layout.digest(),
    }


def check_inputs(signature: Signature, inputs: Sequence[torch.Tensor]) -> None:
    """Check the tensors of one call.

    Parameters
    ----------
    signature
        Of the model.
    inputs
        In the signature's order; rows first. Row-major tensors are refused.

    Raises
    ------
    ContractError
        If the number of tensors, or a dtype, rank, size or stride, is not that of the contract, or
        the numbers of rows disagree.
    """
    if len(inputs) != len(signature.inputs):
        names = ", ".join(spec.name for spec in signature.inputs)
        raise ContractError(
            f"the model takes {len(signature.inputs)} inputs ({names}), and the call has {len(inputs)}"
        )
    rows: dict[tuple[str, RowRange], int] = {}
    for spec, tensor in zip(signature.inputs, inputs, strict=True):
        item = spec.layout[spec.items[0]]
        _check_form(spec, item, tensor)
        _check_strides(spec, item, tensor)
        count = tensor.shape[0]
        expected = (
            1 if spec.rows is RowRange.BATCH_BEGIN else rows.setdefault((spec.collection, spec.rows), count)
        )
        if count != expected:
            raise ContractError(f"input '{spec.name}' has {count} rows, and the call needs {expected}")


def check_outputs(signature: Signature, rows: int, outputs: Sequence[torch.Tensor]) -> None:
    """Check what a model returned; whether the items can hold real results is checked when they are written.

    Parameters
    ----------
    signature
        Of the model.
    rows
        Of the call.
    outputs
        In the signature's order.

    Raises
    ------
    ModelError
        If the number or a shape of the outputs is not that of the signature, or one is complex.
    """
    if len(outputs) != len(signature.outputs):
        names = ", ".join(spec.name for spec in signature.outputs)
        raise ModelError(
            f"the model returned {len(outputs)} outputs, and its signature has {len(signature.outputs)} "
            f"({names}): declare the outputs that it returns"
        )
    for spec, tensor in zip(signature.outputs, outputs, strict=True):
        if not isinstance(tensor, torch.Tensor):
            raise ModelError(f"output '{spec.name}' is a {type(tensor).__name__}: return a tensor")
        if tensor.is_complex():
            raise ModelError(f"output '{spec.name}' is complex, which no item can hold: return real numbers")
        item = signature.output_layout[spec.items[0]]
        expected = (rows, *_inner_sizes(item, len(spec.items)))
        if tuple(tensor.shape) != expected:
            raise ModelError(
                f"output '{spec.name}' has shape {list(tensor.shape)}, and its signature says "
                f"{list(expected)}: declare the shape that the model returns"
            )


def _describe_input(spec: TensorInput) -> dict[str, Any]:
    item = spec.layout[spec.items[0]]
    symbols: dict[RowRange, str | int] = {RowRange.SLICED: "B", RowRange.WHOLE: "N", RowRange.BATCH_BEGIN: 1}
    strides: list[str | int] = [0, 1]
    if item.kind is not ItemKind.SCALAR:
        _, planes = inner_planes(item, len(spec.items))
        strides = [1, *("S" if plane == 1 else f"{plane}*S" for plane in planes)]
    minimum = 0 if spec.rows is RowRange.WHOLE else 1
    maximum = 1 if spec.rows is RowRange.BATCH_BEGIN else None
    return {
        "name": spec.name,
        "collection": spec.collection,
        "dtype": item.dtype,
        "sizes": [symbols[spec.rows], *_inner_sizes(item, len(spec.items))],
        "strides": strides,
        "alignment": spec.layout.alignment,
        "rows": {"range": spec.rows.value, "minimum": minimum, "maximum": maximum},
        "layout_sha256": spec.layout.digest(),
    }


def _inner_sizes(item: Item, count: int) -> tuple[int, ...]:
    return (1,) if item.kind is ItemKind.SCALAR else inner_planes(item, count)[0]


def _check_form(spec: TensorInput, item: Item, tensor: torch.Tensor) -> None:
    if tensor.dtype is not getattr(torch, item.dtype):
        got = str(tensor.dtype).removeprefix("torch.")
        raise ContractError(f"input '{spec.name}' has dtype {got}, and the contract says {item.dtype}")
    inner = _inner_sizes(item, len(spec.items))
    if tensor.dim() != 1 + len(inner) or tuple(tensor.shape[1:]) != inner:
        expected = ", ".join(["rows", *map(str, inner)])
        raise ContractError(
            f"input '{spec.name}' has sizes {list(tensor.shape)}, and the contract says [{expected}]"
        )


def _check_strides(spec: TensorInput, item: Item, tensor: torch.Tensor) -> None:
    rows, strides = tensor.shape[0], tensor.stride()
    if rows == 0:
        return
    row_stride = 0 if item.kind is ItemKind.SCALAR else 1
    if rows > 1 and strides[0] != row_stride:
        raise ContractError(
            f"input '{spec.name}' has strides {list(strides)}, and the contract says {row_stride} for the "
            "rows: give a view of the collection, not a row-major tensor"
        )
    if item.kind is ItemKind.SCALAR:
        return
    sizes, planes = inner_planes(item, len(spec.items))
    capacity: int | None = None
    for size, stride, plane in zip(sizes, strides[1:], planes, strict=True):
        if size == 1:
            continue
        if capacity is None:
            capacity = stride // plane
        if stride != capacity * plane or capacity < rows:
            expected = ", ".join(["1", *(f"{p}*S" for p in planes)])
            raise ContractError(
                f"input '{spec.name}' has strides {list(strides)} for {rows} rows, and the contract says "
                f"[{expected}] with one S of at least {rows}: give a view of the collection"
            )
