"""Example inputs: one call of a model, made from its signature alone.

The invariant: the tensors have the sizes and strides of views of SoA collections. The rows that a
collection has room for are chosen apart from the rows of the call, and its layout gives each dtype's S
for them. The tensors are not views of other torch tensors, because torch.export gives a view the
strides of its base. All bytes around them hold valid values too, so code with wrong strides gives wrong
numbers and not a crash.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from soaflow.soa.layout import Item, ItemKind, Placement
from soaflow.soa.signature import RowRange, Signature, TensorInput, TensorOutput
from soaflow.soa.views import inner_planes


@dataclass(frozen=True, slots=True)
class CallShape:
    """Sizes of one call.

    Parameters
    ----------
    rows
        Of the sliced tensors, B.
    capacity
        Rows that the sliced collection has room for, at least `offset + rows`.
    offset
        First row of the slice.
    whole_rows
        Of the first whole collection, N; the second has twice as many, and so on.
    whole_capacity
        Rows that the first whole collection has room for, at least `whole_rows`.
    """

    rows: int
    capacity: int
    offset: int = 0
    whole_rows: int = 11
    whole_capacity: int = 32


_PRIMES = (37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113)

_ROOM = 4096
"""Elements of valid values in each plane at least, for wrong strides to read."""


@dataclass(frozen=True, slots=True)
class Values:
    """Which values a call has.

    Parameters
    ----------
    largest
        Floating values are at most this, in absolute value.
    signed
        Whether floating values have both signs, in a normal distribution cut off at `largest`; else they
        lie between 0.1 and it, evenly in their logarithm, where logarithms and roots exist.
    integers
        Integers of sliced tensors are from 0 to below this.
    """

    largest: float = 2.0
    signed: bool = False
    integers: int = 2


def tracing_shape(signature: Signature) -> CallShape:
    """Return sizes for an export: all different, and unlike the sizes that belong to the model.

    A size that happens to equal another could be taken for the same quantity, and be baked in.
    """
    taken = {size for spec in signature.inputs for size in _inner_sizes(spec)}
    free = (prime for prime in _PRIMES if prime not in taken)
    rows, whole_rows = next(free), next(free)
    # Padding to 128 bytes makes of these unlike strides for elements of 1, 4 and 8 bytes.
    return CallShape(rows, 6 * rows + next(free), 0, whole_rows, 10 * whole_rows + next(free))


def example_inputs(
    signature: Signature, shape: CallShape, seed: int, values: Values = Values()
) -> tuple[torch.Tensor, ...]:
    """Make the inputs of one call.

    Integers of whole tensors are rows of the slice's collection, up to the last of the slice, as far as
    their dtype holds them; booleans are either.

    Parameters
    ----------
    signature
        Of the model.
    shape
        Sizes of the call.
    seed
        Of the values.
    values
        Their range.
    """
    random = np.random.default_rng(seed)
    others = [name for name in signature.collections if name != signature.sliced_collection]
    return tuple(
        _example(spec, shape, _rows_of(signature, shape, others, spec), random, values)
        for spec in signature.inputs
    )


def example_outputs(signature: Signature, shape: CallShape) -> tuple[torch.Tensor, ...]:
    """Make tensors for the outputs of one call to be stored in.

    Parameters
    ----------
    signature
        Of the model.
    shape
        Sizes of the call; the predictions have room for twice the rows of the sliced collection.
    """
    placement = signature.output_layout.place(2 * shape.capacity)
    return tuple(_example_output(placement, spec, shape.rows) for spec in signature.outputs)


def shapes_to_check() -> Iterator[CallShape]:
    """Yield the calls that every program and artifact is checked with.

    Among them are one row, no rows of the whole collections, odd offsets, and capacities that are
    equal to the rows, a little larger and much larger. With 128 bytes of alignment S is 32, 64, 320
    and 4128 for floats, and another for doubles and for bytes.
    """
    yield CallShape(rows=1, capacity=7, offset=0, whole_rows=0, whole_capacity=0)
    yield CallShape(rows=1, capacity=289, offset=33, whole_rows=1, whole_capacity=1)
    yield CallShape(rows=7, capacity=33, offset=5, whole_rows=40, whole_capacity=64)
    yield CallShape(rows=64, capacity=64, offset=0, whole_rows=64, whole_capacity=4096)
    yield CallShape(rows=64, capacity=4097, offset=33, whole_rows=300, whole_capacity=320)
    yield CallShape(rows=300, capacity=303, offset=3, whole_rows=7, whole_capacity=7)
    yield CallShape(rows=64, capacity=300, offset=64, whole_rows=2, whole_capacity=33)
    yield CallShape(rows=300, capacity=4100, offset=129, whole_rows=90, whole_capacity=96)


@dataclass(frozen=True, slots=True)
class _Rows:
    """What a tensor shows of its collection: `count` rows from `offset`, of room for `capacity`."""

    count: int
    offset: int
    capacity: int


def _rows_of(signature: Signature, shape: CallShape, others: list[str], spec: TensorInput) -> _Rows:
    if spec.rows is RowRange.BATCH_BEGIN:
        return _Rows(1, 0, 1)
    if spec.rows is RowRange.SLICED:
        return _Rows(shape.rows, shape.offset, shape.capacity)
    if spec.collection == signature.sliced_collection:
        return _Rows(shape.capacity, 0, shape.capacity)
    number = others.index(spec.collection)
    # One more alignment's worth of rows pads to another S for every dtype.
    capacity = shape.whole_capacity * (number + 1) + number * spec.layout.alignment
    return _Rows(shape.whole_rows * (number + 1), 0, capacity)


def _example_output(placement: Placement, spec: TensorOutput, rows: int) -> torch.Tensor:
    item = placement.layout[spec.items[0]]
    sizes, planes = inner_planes(item, len(spec.items))
    stride = placement.stride(item.name)
    room = np.zeros(stride * len(spec.items) * item.planes, item.dtype)
    strides = (item.itemsize, *(plane * stride * item.itemsize for plane in planes))
    return torch.from_numpy(np.lib.stride_tricks.as_strided(room, (rows, *sizes), strides))


def _example(
    spec: TensorInput, shape: CallShape, rows: _Rows, random: np.random.Generator, values: Values
) -> torch.Tensor:
    item = spec.layout[spec.items[0]]
    if spec.rows is RowRange.BATCH_BEGIN:
        return torch.from_numpy(np.full((1, 1), shape.offset, item.dtype))
    integers = shape.offset + shape.rows if spec.rows is RowRange.WHOLE else values.integers
    if item.kind is ItemKind.SCALAR:
        scalar = _values(item, 1, random, values, integers)
        return torch.from_numpy(np.lib.stride_tricks.as_strided(scalar, (rows.count, 1), (0, item.itemsize)))
    sizes, planes = inner_planes(item, len(spec.items))
    stride = spec.layout.place(rows.capacity).stride(item.name)
    # More than the S of any dtype of the collection, which wrong code might use.
    room = max(rows.capacity + spec.layout.alignment, _ROOM) * len(spec.items) * item.planes
    blob = _values(item, room, random, values, integers)
    strides = (item.itemsize, *(plane * stride * item.itemsize for plane in planes))
    return torch.from_numpy(
        np.lib.stride_tricks.as_strided(blob[rows.offset :], (rows.count, *sizes), strides)
    )


def _values(
    item: Item, count: int, random: np.random.Generator, values: Values, integers: int
) -> npt.NDArray[np.generic]:
    largest = values.largest
    if item.floating and values.signed:
        return np.clip(random.normal(0.0, largest / 2, count), -largest, largest).astype(item.dtype)
    if item.floating:
        return np.geomspace(0.1, largest, 1 << 12)[random.integers(0, 1 << 12, count)].astype(item.dtype)
    end = 2 if item.dtype == "bool" else min(integers, int(np.iinfo(item.dtype).max))
    return random.integers(0, end, count).astype(item.dtype)


def _inner_sizes(spec: TensorInput) -> tuple[int, ...]:
    item = spec.layout[spec.items[0]]
    return (1,) if item.kind is ItemKind.SCALAR else inner_planes(item, len(spec.items))[0]
