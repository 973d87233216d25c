"""The tensors of a call, held against what its artifact may be called with.

The invariant: tensors that `check_inputs` accepts are views of SoA collections as
`soaflow.soa.views.plan_view` makes them, for some number of rows and some stride S. Compiled code
checks nothing and reads out of bounds, so this is checked before it is called. The checks look at
sizes, strides and addresses only and take microseconds. That a collection begins at a multiple of its
alignment, which a slice of its rows does not show, is `soaflow.soa.mapping`'s to hold.
"""

from collections.abc import Sequence

from soaflow.errors import ContractError, ModelError
from soaflow.soa.contract import inner_sizes
from soaflow.soa.layout import Item, ItemKind
from soaflow.soa.signature import RowRange, Signature, TensorInput
from soaflow.soa.tensor_library import Tensor, dtype_name, is_tensor
from soaflow.soa.views import inner_planes


def check_inputs(signature: Signature, inputs: Sequence[Tensor]) -> None:
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
        If the number of tensors, or a dtype, rank, size, stride or alignment, is not that of the
        contract, the numbers of rows disagree, or there are none to run the model on.
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
        _check_alignment(spec, item, tensor, _check_strides(spec, item, tensor))
        count = tensor.shape[0]
        if count == 0 and spec.rows is RowRange.SLICED:
            raise ContractError(
                f"input '{spec.name}' has no rows, and the contract says at least 1: call no model for them"
            )
        expected = (
            1 if spec.rows is RowRange.BATCH_BEGIN else rows.setdefault((spec.collection, spec.rows), count)
        )
        if count != expected:
            raise ContractError(f"input '{spec.name}' has {count} rows, and the call needs {expected}")


def call_rows(signature: Signature, inputs: Sequence[Tensor]) -> int:
    """Return the number of rows of a call, B."""
    pairs = zip(signature.inputs, inputs, strict=True)
    return next(tensor.shape[0] for spec, tensor in pairs if spec.rows is RowRange.SLICED)


def check_outputs(signature: Signature, rows: int, outputs: Sequence[Tensor]) -> None:
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
        if not is_tensor(tensor):
            raise ModelError(f"output '{spec.name}' is a {type(tensor).__name__}: return a tensor")
        if tensor.is_complex():
            raise ModelError(f"output '{spec.name}' is complex, which no item can hold: return real numbers")
        item = signature.output_layout[spec.items[0]]
        expected = (rows, *inner_sizes(item, len(spec.items)))
        if tuple(tensor.shape) != expected:
            raise ModelError(
                f"output '{spec.name}' has shape {list(tensor.shape)}, and its signature says "
                f"{list(expected)}: declare the shape that the model returns"
            )


def _check_form(spec: TensorInput, item: Item, tensor: Tensor) -> None:
    if dtype_name(tensor) != item.dtype:
        raise ContractError(
            f"input '{spec.name}' has dtype {dtype_name(tensor)}, and the contract says {item.dtype}"
        )
    inner = inner_sizes(item, len(spec.items))
    if tensor.dim() != 1 + len(inner) or tuple(tensor.shape[1:]) != inner:
        expected = ", ".join(["rows", *map(str, inner)])
        raise ContractError(
            f"input '{spec.name}' has sizes {list(tensor.shape)}, and the contract says [{expected}]"
        )


def _check_strides(spec: TensorInput, item: Item, tensor: Tensor) -> int | None:
    """Check the strides, and return S where they show it."""
    rows, strides = tensor.shape[0], tensor.stride()
    if rows == 0:
        return None
    row_stride = 0 if item.kind is ItemKind.SCALAR else 1
    if rows > 1 and strides[0] != row_stride:
        raise ContractError(
            f"input '{spec.name}' has strides {list(strides)}, and the contract says {row_stride} for the "
            "rows: give a view of the collection, not a row-major tensor"
        )
    if item.kind is ItemKind.SCALAR:
        return None
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
    return capacity


def _check_alignment(spec: TensorInput, item: Item, tensor: Tensor, capacity: int | None) -> None:
    if tensor.data_ptr() % item.itemsize:
        raise ContractError(
            f"input '{spec.name}' lies at address {tensor.data_ptr():#x}, and the contract says a "
            f"multiple of the {item.itemsize} bytes of {item.dtype}: give a view of the collection"
        )
    if capacity and capacity * item.itemsize % spec.layout.alignment:
        raise ContractError(
            f"input '{spec.name}' has planes {capacity * item.itemsize} bytes apart, and the contract says a "
            f"multiple of {spec.layout.alignment}: give a view of the collection"
        )
