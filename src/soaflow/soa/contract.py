"""What the caller of an artifact must hold, as values and as sentences.

The invariant: it is derived from the signature alone, so it says the same of every artifact of a model.
`soaflow.soa.calls` checks the tensors of a call against the same signature. This module imports no torch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from soaflow.soa.layout import Item, ItemKind
from soaflow.soa.signature import RowRange, Signature, TensorInput, TensorOutput
from soaflow.soa.views import inner_planes

RETURNED, STORED = "returned", "stored"
"""What a call does with its outputs: gives them back, or stores them in tensors that follow the inputs."""

VIEWS, ROW_MAJOR = "views", "row_major"
"""What the inputs of a call are: views of collections, or row-major tensors, as ONNX knows no strides."""


def describe_contract(
    signature: Signature, *, inputs_are: str = VIEWS, outputs_are: str = RETURNED
) -> dict[str, Any]:
    """Describe inputs and outputs as plain JSON values, for the passport.

    In `sizes`, B is the number of rows of one call and N that of a whole collection; in `strides`,
    in elements, S is the number of rows that the collection has room for, which each collection and
    dtype has its own of. The stride of a dimension of size 1 is free.

    Parameters
    ----------
    signature
        Of the model, as it is for what it computes in.
    inputs_are
        `VIEWS` or `ROW_MAJOR`.
    outputs_are
        `RETURNED` or `STORED`.

    Returns
    -------
    dict
        Lists `inputs` and `outputs`; each entry has name, dtype, sizes, strides, and each input its
        collection, alignment in bytes, range of rows and the SHA-256 of its collection's layout. The strides
        of outputs that are returned are the model's own, and left out. `inputs_are` is left out for views.
    """
    return {
        **({} if inputs_are == VIEWS else {"inputs_are": inputs_are}),
        "inputs": [_describe_input(spec, inputs_are) for spec in signature.inputs],
        "outputs": [_describe_output(signature, spec, outputs_are) for spec in signature.outputs],
        "outputs_are": outputs_are,
        "output_layout_sha256": signature.output_layout.digest(),
    }


def caller_obligations(contract: Mapping[str, Any]) -> list[str]:
    """Return what a framework that calls the artifact must hold, one sentence each.

    Parameters
    ----------
    contract
        As `describe_contract` gives it.
    """
    inputs, outputs = contract["inputs"], contract["outputs"]
    stored = contract["outputs_are"] == STORED
    row_major = contract.get("inputs_are") == ROW_MAJOR
    passed = [*inputs, *outputs] if stored else inputs
    names = ", ".join(entry["name"] for entry in passed)
    return [
        f"Pass {len(passed)} tensor{'s' * (len(passed) > 1)} in this order: {names}.",
        *(_obligation(entry, "memory" if row_major else "collection") for entry in inputs),
        *(_destination(entry) if stored else _promise(entry) for entry in outputs),
        "B is the same for all sliced inputs and outputs of a call, N for all whole inputs of a collection.",
        *(_ROW_MAJOR_INPUTS if row_major else _VIEWED_INPUTS),
        "Call it with at least one row.",
        "Hold the memory until the call returns; that of the inputs is not written.",
    ]


_VIEWED_INPUTS = (
    "S is at least the number of rows, and one for all dimensions of a tensor.",
    "Give views of the collection, not row-major copies: compiled code checks no stride.",
)
_ROW_MAJOR_INPUTS = ("Copy what is a view of a collection into a row-major tensor: ONNX knows no strides.",)


def inner_sizes(item: Item, count: int) -> tuple[int, ...]:
    """Return the sizes of a tensor of `count` items after its rows."""
    return (1,) if item.kind is ItemKind.SCALAR else inner_planes(item, count)[0]


def _obligation(entry: Mapping[str, Any], aligned: str) -> str:
    sizes, strides = (f"[{', '.join(map(str, entry[key]))}]" for key in ("sizes", "strides"))
    if entry["rows"]["range"] == RowRange.BATCH_BEGIN:
        what = "holding the number of the batch's first row"
    else:
        which = "a slice of the rows" if entry["rows"]["range"] == RowRange.SLICED else "all rows"
        what = f"{which} of collection {entry['collection']} with layout {entry['layout_sha256'][:12]}"
    return (
        f"{entry['name']}: {entry['dtype']} {sizes} with strides {strides} in elements, {what}; "
        f"its {aligned} aligned to {entry['alignment']} bytes."
    )


def _promise(entry: Mapping[str, Any]) -> str:
    sizes = ", ".join(map(str, entry["sizes"]))
    return f"{entry['name']}: returned, [{sizes}], to be kept as {entry['dtype']}."


def _destination(entry: Mapping[str, Any]) -> str:
    sizes, strides = (f"[{', '.join(map(str, entry[key]))}]" for key in ("sizes", "strides"))
    return (
        f"{entry['name']}: {entry['dtype']} {sizes} with strides {strides} in elements, which is written: "
        f"a slice of the rows of the predictions, aligned to {entry['alignment']} bytes."
    )


def _describe_output(signature: Signature, spec: TensorOutput, outputs_are: str) -> dict[str, Any]:
    item = signature.output_layout[spec.items[0]]
    described: dict[str, Any] = {
        "name": spec.name,
        "dtype": item.dtype,
        "sizes": ["B", *inner_sizes(item, len(spec.items))],
    }
    if outputs_are == STORED:
        described |= {
            "strides": _strides(item, len(spec.items)),
            "alignment": signature.output_layout.alignment,
        }
    return described


def _strides(item: Item, count: int) -> list[str | int]:
    if item.kind is ItemKind.SCALAR:
        return [0, 1]
    _, planes = inner_planes(item, count)
    return [1, *("S" if plane == 1 else f"{plane}*S" for plane in planes)]


def _row_major_strides(sizes: Sequence[int]) -> list[str | int]:
    strides = [1]
    for size in reversed(sizes):
        strides.insert(0, strides[0] * size)
    return list(strides)


def _describe_input(spec: TensorInput, inputs_are: str) -> dict[str, Any]:
    item = spec.layout[spec.items[0]]
    symbols: dict[RowRange, str | int] = {RowRange.SLICED: "B", RowRange.WHOLE: "N", RowRange.BATCH_BEGIN: 1}
    minimum = 0 if spec.rows is RowRange.WHOLE else 1
    maximum = 1 if spec.rows is RowRange.BATCH_BEGIN else None
    sizes, views = inner_sizes(item, len(spec.items)), inputs_are == VIEWS
    return {
        "name": spec.name,
        "collection": spec.collection,
        "dtype": item.dtype,
        "sizes": [symbols[spec.rows], *sizes],
        "strides": _strides(item, len(spec.items)) if views else _row_major_strides(sizes),
        "alignment": spec.layout.alignment if views else item.itemsize,
        "rows": {"range": spec.rows.value, "minimum": minimum, "maximum": maximum},
        "layout_sha256": spec.layout.digest(),
    }
