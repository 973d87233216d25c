"""Example inputs: one call of a model, made from its signature alone.

The invariant: the tensors have the sizes and strides of views of SoA collections, with a capacity S
(rows that the collection has room for) that is chosen apart from the number of rows. They are not
views of other torch tensors, because torch.export gives a view the strides of its base. All bytes
around them hold valid values too, so code with wrong strides gives wrong numbers and not a crash.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from soaflow.soa.layout import Item, ItemKind
from soaflow.soa.signature import RowRange, Signature, TensorInput
from soaflow.soa.views import inner_planes


@dataclass(frozen=True, slots=True)
class CallShape:
    """Sizes of one call.

    Parameters
    ----------
    rows
        Of the sliced tensors, B.
    capacity
        S of the sliced collection, at least `offset + rows`.
    offset
        First row of the slice.
    whole_rows
        Of each whole collection, N.
    whole_capacity
        S of each whole collection, at least `whole_rows`.
    """

    rows: int
    capacity: int
    offset: int = 0
    whole_rows: int = 11
    whole_capacity: int = 32


_PRIMES = (37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113)

_ROOM = 4096
"""Rows of valid values in each plane at least, for wrong strides to read."""


def tracing_shape(signature: Signature) -> CallShape:
    """Return sizes for an export: all different, and unlike the sizes that belong to the model.

    A size that happens to equal another could be taken for the same quantity, and be baked in.
    """
    taken = {size for spec in signature.inputs for size in _inner_sizes(spec)}
    free = (prime for prime in _PRIMES if prime not in taken)
    rows, whole_rows = next(free), next(free)
    return CallShape(rows, 5 * rows + next(free), 0, whole_rows, 7 * whole_rows + next(free))


def example_inputs(
    signature: Signature, shape: CallShape, seed: int, largest: float = 2.0
) -> tuple[torch.Tensor, ...]:
    """Make the inputs of one call.

    Floating values are spread evenly in their logarithm, above 0, where logarithms and roots exist.
    Integers of sliced tensors are 0 or 1; those of whole tensors are rows of the sliced collection;
    booleans are either.

    Parameters
    ----------
    signature
        Of the model.
    shape
        Sizes of the call.
    seed
        Of the values.
    largest
        Floating values lie between 0.1 and this.
    """
    random = np.random.default_rng(seed)
    return tuple(_example(spec, shape, random, largest) for spec in signature.inputs)


def shapes_to_check() -> Iterator[CallShape]:
    """Yield the calls that every program and artifact is checked with.

    Among them are one row, no rows of the whole collections, odd offsets, and capacities that are
    equal to the rows, a little larger and much larger.
    """
    yield CallShape(rows=1, capacity=64, offset=0, whole_rows=0, whole_capacity=0)
    yield CallShape(rows=1, capacity=320, offset=33, whole_rows=1, whole_capacity=32)
    yield CallShape(rows=7, capacity=64, offset=5, whole_rows=40, whole_capacity=64)
    yield CallShape(rows=64, capacity=64, offset=0, whole_rows=64, whole_capacity=4096)
    yield CallShape(rows=64, capacity=4096, offset=33, whole_rows=300, whole_capacity=320)
    yield CallShape(rows=300, capacity=320, offset=5, whole_rows=7, whole_capacity=32)


def _example(
    spec: TensorInput, shape: CallShape, random: np.random.Generator, largest: float
) -> torch.Tensor:
    item = spec.layout[spec.items[0]]
    if spec.rows is RowRange.BATCH_BEGIN:
        return torch.from_numpy(np.full((1, 1), shape.offset, item.dtype))
    rows, offset, capacity, integers = shape.rows, shape.offset, shape.capacity, 2
    if spec.rows is RowRange.WHOLE:
        rows, offset, capacity, integers = shape.whole_rows, 0, shape.whole_capacity, offset + rows
    if item.kind is ItemKind.SCALAR:
        scalar = _values(item, 1, random, largest, integers)
        return torch.from_numpy(np.lib.stride_tricks.as_strided(scalar, (rows, 1), (0, item.itemsize)))
    sizes, planes = inner_planes(item, len(spec.items))
    room = max(capacity, _ROOM) * len(spec.items) * item.planes
    blob = _values(item, room, random, largest, integers)
    plane_bytes = capacity * item.itemsize
    strides = (item.itemsize, *(plane * plane_bytes for plane in planes))
    return torch.from_numpy(np.lib.stride_tricks.as_strided(blob[offset:], (rows, *sizes), strides))


def _values(
    item: Item, count: int, random: np.random.Generator, largest: float, integers: int
) -> npt.NDArray[np.generic]:
    if item.dtype.startswith("float"):
        return np.geomspace(0.1, largest, 1 << 12)[random.integers(0, 1 << 12, count)].astype(item.dtype)
    end = 2 if item.dtype in ("bool", "uint8", "int8") else integers
    return random.integers(0, end, count).astype(item.dtype)


def _inner_sizes(spec: TensorInput) -> tuple[int, ...]:
    item = spec.layout[spec.items[0]]
    return (1,) if item.kind is ItemKind.SCALAR else inner_planes(item, len(spec.items))[0]
