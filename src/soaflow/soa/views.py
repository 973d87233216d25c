"""Which sizes and strides show adjacent items of a blob as one tensor, computed without any tensor.

The invariant: a plan describes bytes that are already in the blob, in CMSSW's order, so making the
tensor never copies. Items that cannot be seen that way are an error that names them.

>>> from soaflow.soa.layout import Item, Layout
>>> particles = Layout.of(Item("pt", "float32"), Item("eta", "float32"), Item("phi", "float32"))
>>> plan_view(particles.place(rows=33), ("eta", "phi"))
ViewPlan(dtype='float32', sizes=(33, 2), strides=(1, 64), byte_offset=256)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from soaflow.errors import TensorSpecError
from soaflow.soa.layout import Item, ItemKind, Layout, Placement


@dataclass(frozen=True, slots=True)
class ViewPlan:
    """A tensor over a blob.

    Parameters
    ----------
    dtype
        Of the elements; a key of `soaflow.soa.layout.DTYPE_BYTES`.
    sizes
        Rows first.
    strides
        In elements, one for each size; 1 for the rows, or 0 for a broadcast scalar.
    byte_offset
        Of the first element from the start of the blob.
    """

    dtype: str
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    byte_offset: int


def plan_view(placement: Placement, names: Sequence[str]) -> ViewPlan:
    """Plan the tensor that shows the named items over all rows.

    Parameters
    ----------
    placement
        The layout and its rows, n, with stride S.
    names
        Adjacent items in the layout's order, all of one dtype, kind and shape.

    Returns
    -------
    ViewPlan
        For K columns `[n, K]` with strides `[1, S]`; for one eigen vector `[n, R]`, `[1, S]`; for K
        of them `[n, K, R]`, `[1, S*R, S]`; for one matrix `[n, R, C]`, `[1, S, S*R]`; for K of them
        `[n, K, R, C]`, `[1, S*R*C, S, S*R]`; for a scalar `[n, 1]`, `[0, 1]`.

    Raises
    ------
    TensorSpecError
        If the items are not adjacent, not in order, or differ in dtype, kind or shape.
    LayoutError
        If an item is not in the layout.
    """
    first = check_tensor_items(placement.layout, names)
    rows, count = placement.rows, len(names)
    offset = placement.offsets[first.name]
    if first.kind is ItemKind.SCALAR:
        return ViewPlan(first.dtype, (rows, 1), (0, 1), offset)
    stride = placement.stride(first.name)
    sizes, planes = inner_planes(first, count)
    return ViewPlan(first.dtype, (rows, *sizes), (1, *(stride * plane for plane in planes)), offset)


def inner_planes(item: Item, count: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return sizes and strides of the dimensions after the rows, the strides counted in planes of S elements.

    Parameters
    ----------
    item
        Of kind column or eigen.
    count
        Number of such items in the tensor, K.

    Examples
    --------
    >>> inner_planes(Item("pt", "float32"), 3)
    ((3,), (1,))
    >>> inner_planes(Item("image", "float32", ItemKind.EIGEN, (9, 8)), 3)
    ((3, 9, 8), (72, 1, 9))
    """
    if item.kind is ItemKind.COLUMN:
        return (count,), (1,)
    block_strides = (1, item.block_rows)[: len(item.shape)]
    if count == 1:
        return item.shape, block_strides
    return (count, *item.shape), (item.planes, *block_strides)


def check_tensor_items(layout: Layout, names: Sequence[str]) -> Item:
    """Check that the named items can be one tensor, and return the first of them.

    Raises
    ------
    TensorSpecError
        As `plan_view`.
    LayoutError
        If an item is not in the layout.
    """
    if not names:
        raise TensorSpecError("a tensor needs at least one item")
    items = [layout[name] for name in names]
    first = items[0]
    for item in items[1:]:
        if item.dtype != first.dtype:
            raise TensorSpecError(
                f"items '{first.name}' ({first.dtype}) and '{item.name}' ({item.dtype}) differ in dtype "
                "and cannot be one tensor: make them two tensors"
            )
        if (item.kind, item.shape) != (first.kind, first.shape):
            raise TensorSpecError(
                f"items '{first.name}' and '{item.name}' differ in kind or shape and cannot be one "
                "tensor: make them two tensors"
            )
    if first.kind is ItemKind.SCALAR and len(items) > 1:
        raise TensorSpecError(f"scalars {', '.join(names)} cannot be one tensor: make each its own")
    begin = layout.names.index(first.name)
    adjacent = layout.names[begin : begin + len(names)]
    if tuple(names) != adjacent:
        raise TensorSpecError(
            f"items {', '.join(names)} are not adjacent and in order in the layout "
            f"({', '.join(layout.names)}) and cannot be one tensor without a copy: reorder the layout "
            "or make them several tensors"
        )
    return first
