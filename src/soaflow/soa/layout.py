"""Where each item of a structure-of-arrays collection lies in its blob.

The invariant: offsets, strides and sizes are those of CMSSW's `DataFormats/SoATemplate`, so a blob
written here can be handed to a C++ collection of the same layout and row count, and back.

>>> particles = Layout.of(Item("pt", "float32"), Item("eta", "float32"), Item("phi", "float32"))
>>> placement = particles.place(rows=33)
>>> placement.offsets
{'pt': 0, 'eta': 256, 'phi': 512}
>>> placement.blob_bytes, placement.stride("pt")
(768, 64)
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from soaflow.errors import LayoutError

DEFAULT_ALIGNMENT = 128
"""Bytes; the alignment that CMSSW's collections use unless told otherwise."""

EVENTS_COLLECTION = "events"
"""The collection with one row an event, which every file of events has."""

EVENT_ITEM = "event"
"""The last column of the other collections: row of the event in the same file, int32."""

DTYPE_BYTES: Mapping[str, int] = {
    "bool": 1,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "uint16": 2,
    "int32": 4,
    "uint32": 4,
    "int64": 8,
    "uint64": 8,
    "float32": 4,
    "float64": 8,
}
"""Size of one element of each dtype that an item may have."""

_ALIGNMENTS = tuple(1 << power for power in range(3, 13))
"""Bytes. From the largest element to a page: what a mapping of a file can hold."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_identifier(name: object) -> bool:
    """Tell whether a name can be an item's or a collection's: letters, digits and _, no digit first."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


class ItemKind(StrEnum):
    """How many values an item holds: one a row, a block a row, or one a collection."""

    COLUMN = "column"
    EIGEN = "eigen"
    SCALAR = "scalar"


@dataclass(frozen=True, slots=True)
class Item:
    """One named quantity of a layout.

    Parameters
    ----------
    name
        An identifier, unique in its layout.
    dtype
        A key of `DTYPE_BYTES`.
    kind
        Column, eigen or scalar.
    shape
        Of one row's block: `(R,)` or `(R, C)` for an eigen item, empty for the other kinds.
    unit
        For people and plots, such as `"GeV"`; not part of the bytes.

    Raises
    ------
    LayoutError
        If a field does not fit the others.
    """

    name: str
    dtype: str
    kind: ItemKind = ItemKind.COLUMN
    shape: tuple[int, ...] = ()
    unit: str = ""

    def __post_init__(self) -> None:
        if not is_identifier(self.name):
            raise LayoutError(f"item name {self.name!r} is not an identifier: use letters, digits and _")
        if not isinstance(self.dtype, str) or self.dtype not in DTYPE_BYTES:
            raise LayoutError(
                f"item '{self.name}' has dtype {self.dtype!r}: choose one of {', '.join(DTYPE_BYTES)}"
            )
        if self.kind is ItemKind.EIGEN:
            if len(self.shape) not in (1, 2) or min(self.shape, default=0) < 1:
                raise LayoutError(
                    f"eigen item '{self.name}' has shape {list(self.shape)}: give [R] or [R, C], from 1"
                )
        elif self.shape:
            raise LayoutError(
                f"{self.kind} item '{self.name}' has shape {list(self.shape)}: only eigen items have a shape"
            )

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return DTYPE_BYTES[self.dtype]

    @property
    def floating(self) -> bool:
        """Whether the values are floating-point numbers."""
        return self.dtype.startswith("float")

    @property
    def block_rows(self) -> int:
        """R of an eigen item's R x C block; 1 for the other kinds."""
        return self.shape[0] if self.shape else 1

    @property
    def block_columns(self) -> int:
        """C of an eigen item's R x C block; 1 for vectors and the other kinds."""
        return self.shape[1] if len(self.shape) == 2 else 1

    @property
    def planes(self) -> int:
        """Number of row-long planes the item takes in the blob (R * C); 1 for the other kinds."""
        return self.block_rows * self.block_columns

    def to_mapping(self) -> dict[str, Any]:
        """Return the item as a configuration lists it, with every field present."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "kind": self.kind.value,
            "shape": list(self.shape),
            "unit": self.unit,
        }

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any]) -> Self:
        """Make an item from a configuration's entry.

        Raises
        ------
        LayoutError
            If a key is missing, unknown or of the wrong type.
        """
        if not isinstance(entry, Mapping):
            raise LayoutError(f"item {entry!r} is not a mapping with at least the keys name and dtype")
        label = repr(entry.get("name", dict(entry)))
        if unknown := sorted(set(entry) - {"name", "dtype", "kind", "shape", "unit"}, key=str):
            raise LayoutError(
                f"item {label} has unknown key {unknown[0]!r}: use name, dtype, kind, shape, unit"
            )
        if missing := {"name", "dtype"} - set(entry):
            raise LayoutError(f"item {label} has no key {min(missing)!r}")
        shape = entry.get("shape", [])
        if not isinstance(shape, list | tuple) or not all(type(length) is int for length in shape):
            raise LayoutError(f"item {label} has shape {shape!r}: give a list of integers")
        if not isinstance(entry.get("unit", ""), str):
            raise LayoutError(f"item {label} has unit {entry['unit']!r}: give a text such as GeV")
        kind = entry.get("kind", ItemKind.EIGEN if shape else ItemKind.COLUMN)
        if kind not in list(ItemKind):
            raise LayoutError(f"item {label} has kind {kind!r}: choose column, eigen or scalar")
        return cls(
            name=entry["name"],
            dtype=entry["dtype"],
            kind=ItemKind(kind),
            shape=tuple(shape),
            unit=entry.get("unit", ""),
        )


@dataclass(frozen=True, slots=True)
class Placement:
    """A layout laid out for a number of rows.

    Parameters
    ----------
    layout
        The items and their alignment.
    rows
        Number of rows, n.
    offsets
        Byte offset of each item, by name, in declaration order.
    blob_bytes
        Size of the blob, its last item padded too.
    """

    layout: "Layout"
    rows: int
    offsets: dict[str, int]
    blob_bytes: int

    def stride(self, name: str) -> int:
        """Return S: elements from one plane of the item to the next, for rows padded to the alignment."""
        item = self.layout[name]
        return _align(self.rows * item.itemsize, self.layout.alignment) // item.itemsize

    def item_bytes(self, name: str) -> int:
        """Return the bytes that the item takes in the blob, padding included."""
        return _item_bytes(self.layout[name], self.rows, self.layout.alignment)


@dataclass(frozen=True, slots=True)
class Layout:
    """Ordered items of one collection.

    Parameters
    ----------
    items
        In declaration order, which is the order in the blob.
    alignment
        Bytes; a power of two from 8 to 4096 (a page). Every item, and each plane of an eigen item,
        starts at a multiple of it.

    Raises
    ------
    LayoutError
        If there are no items, a name stands twice, or the alignment is not such a power of two.
    """

    items: tuple[Item, ...]
    alignment: int = DEFAULT_ALIGNMENT

    def __post_init__(self) -> None:
        if not self.items:
            raise LayoutError("a layout needs at least one item")
        names = self.names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise LayoutError(f"item '{twice[0]}' stands twice in its layout: give each item its own name")
        if type(self.alignment) is not int or self.alignment not in _ALIGNMENTS:
            raise LayoutError(f"alignment {self.alignment!r} is not a power of two from 8 to 4096 bytes")

    @classmethod
    def of(cls, *items: Item, alignment: int = DEFAULT_ALIGNMENT) -> Self:
        """Make a layout from items given one by one."""
        return cls(items, alignment)

    @classmethod
    def from_mappings(cls, entries: Iterable[Mapping[str, Any]], alignment: int = DEFAULT_ALIGNMENT) -> Self:
        """Make a layout from a configuration's list of items.

        Raises
        ------
        LayoutError
            If the entries are not a list, or one of them is not an item.
        """
        if not isinstance(entries, list | tuple):
            raise LayoutError("a layout is a list of items, each with at least the keys name and dtype")
        return cls(tuple(Item.from_mapping(entry) for entry in entries), alignment)

    def to_mappings(self) -> list[dict[str, Any]]:
        """Return the items as a configuration lists them."""
        return [item.to_mapping() for item in self.items]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the items in order."""
        return tuple(item.name for item in self.items)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Item:
        for item in self.items:
            if item.name == name:
                return item
        raise LayoutError(f"there is no item '{name}': the layout has {', '.join(self.names)}")

    def place(self, rows: int) -> Placement:
        """Compute where each item lies for a number of rows.

        Raises
        ------
        LayoutError
            If `rows` is negative.
        """
        if rows < 0:
            raise LayoutError(f"{rows} rows cannot be laid out: give 0 or more")
        offsets: dict[str, int] = {}
        end = 0
        for item in self.items:
            offsets[item.name] = end
            end += _item_bytes(item, rows, self.alignment)
        return Placement(self, rows, offsets, end)

    def digest(self) -> str:
        """Return the SHA-256 (hex) of what decides the bytes: names, dtypes, kinds, shapes, alignment."""
        described = [[i.name, i.dtype, i.kind.value, i.block_rows, i.block_columns] for i in self.items]
        canonical = json.dumps({"alignment": self.alignment, "items": described}, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


def _align(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _item_bytes(item: Item, rows: int, alignment: int) -> int:
    if item.kind is ItemKind.SCALAR:
        return _align(item.itemsize, alignment)
    return _align(rows * item.itemsize, alignment) * item.planes
