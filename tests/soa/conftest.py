"""Layouts of every shape, values for them, and a slow blob of pure Python to compare with."""

import random
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from soaflow.soa.layout import DTYPE_BYTES, Item, ItemKind, Layout, Placement
from soaflow.soa.storage import EVENTS, writing

STRUCT_CODES = {
    "bool": "?",
    "int8": "b",
    "uint8": "B",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}

Values = dict[str, Any]
"""By item: a list of rows, each a value, a list of R values or R lists of C values; a scalar's one value."""


def random_values(layout: Layout, rows: int, seed: int) -> Values:
    numbers = random.Random(seed)

    def value(dtype: str) -> bool | int | float:
        if dtype == "bool":
            return numbers.random() < 0.5
        if dtype.startswith("float"):
            return numbers.choice([numbers.randint(-(10**6), 10**6) / 8, float("inf"), -0.0])
        bits = 8 * DTYPE_BYTES[dtype]
        low = 0 if dtype.startswith("u") else -(1 << (bits - 1))
        return numbers.randint(low, low + (1 << bits) - 1)

    def block(item: Item) -> Any:
        if not item.shape:
            return value(item.dtype)
        if len(item.shape) == 1:
            return [value(item.dtype) for _ in range(item.shape[0])]
        return [[value(item.dtype) for _ in range(item.shape[1])] for _ in range(item.shape[0])]

    return {
        item.name: block(item) if item.kind is ItemKind.SCALAR else [block(item) for _ in range(rows)]
        for item in layout.items
    }


def slow_blob(layout: Layout, rows: int, values: Values) -> bytes:
    """Append plane after plane, padding each to the alignment; no offset is ever computed."""
    blob = bytearray()

    def append(dtype: str, plane: list[Any]) -> None:
        blob.extend(struct.pack(f"<{len(plane)}{STRUCT_CODES[dtype]}", *plane))
        while len(blob) % layout.alignment:
            blob.append(0)

    for item in layout.items:
        held = values[item.name]
        if item.kind is ItemKind.SCALAR:
            append(item.dtype, [held])
        elif len(item.shape) == 2:
            for c in range(item.shape[1]):
                for r in range(item.shape[0]):
                    append(item.dtype, [held[i][r][c] for i in range(rows)])
        elif len(item.shape) == 1:
            for r in range(item.shape[0]):
                append(item.dtype, [held[i][r] for i in range(rows)])
        else:
            append(item.dtype, held)
    return bytes(blob)


@st.composite
def _layouts(draw: st.DrawFn, alignment: int | None = None) -> Layout:
    def item(index: int) -> Item:
        kind = draw(st.sampled_from(ItemKind))
        lengths = st.integers(1, 4)
        shapes = st.one_of(st.tuples(lengths), st.tuples(lengths, lengths))
        shape = draw(shapes) if kind is ItemKind.EIGEN else ()
        return Item(f"item_{index}", draw(st.sampled_from(list(DTYPE_BYTES))), kind, shape)

    chosen = alignment or draw(st.sampled_from([8, 16, 64, 128, 256, 4096]))
    return Layout(tuple(item(index) for index in range(draw(st.integers(1, 6)))), chosen)


@pytest.fixture(scope="session")
def layouts() -> Callable[..., st.SearchStrategy[Layout]]:
    """Strategy of layouts, of one alignment if it is given."""
    return _layouts


@pytest.fixture(scope="session")
def values_of() -> Callable[[Layout, int, int], Values]:
    """Random values for each item of a layout: layout, rows, seed."""
    return random_values


@pytest.fixture(scope="session")
def reference_blob() -> Callable[[Layout, int, Values], bytes]:
    """The blob that the slow reference makes: layout, rows, values."""
    return slow_blob


@pytest.fixture(scope="session")
def every_kind() -> Layout:
    """A layout with a bool, a column, a vector, a matrix and a scalar."""
    return Layout.of(
        Item("selected", "bool"),
        Item("pt", "float32", unit="GeV"),
        Item("mask", "uint8", ItemKind.EIGEN, (3,)),
        Item("image", "float32", ItemKind.EIGEN, (2, 3)),
        Item("scale", "float64", ItemKind.SCALAR),
    )


@pytest.fixture(scope="session")
def write_events() -> Callable[[Path, Mapping[str, Placement], Mapping[str, Values]], Path]:
    """Write an events file: path, placements, values by collection and item."""

    def write(path: Path, placements: Mapping[str, Placement], values: Mapping[str, Values]) -> Path:
        with writing(path, EVENTS, placements, {"dataset": "toy", "seed": 7, "fraction": 0.5}) as writer:
            for collection, items in values.items():
                for name, held in items.items():
                    item = placements[collection].layout[name]
                    if held != []:
                        writer.write(collection, item.name, np.array(held, item.dtype))
        return path

    return write
