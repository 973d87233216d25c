"""Tables and lists of plain text for a terminal.

>>> print(table(("item", "offset"), [("pt", 0), ("eta", 256)]), end="")
item  offset
pt         0
eta      256
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from soaflow.soa.layout import ItemKind, Placement


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table with a line for each row; columns of numbers stand to the right.

    Parameters
    ----------
    header
        A word for each column.
    rows
        As many cells as there are columns.
    """
    numeric = [all(isinstance(row[index], int | float) for row in rows) for index in range(len(header))]
    cells = [header, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(header))]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "".join(f"{line}\n" for line in lines)


def listed(values: Mapping[str, Any], indent: str = "  ") -> str:
    """Return a line for each key and its value; mappings inside follow, further to the right."""
    width = max((len(key) for key, value in values.items() if not isinstance(value, Mapping)), default=0)
    lines = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines.append(f"{indent}{key}\n{listed(value, indent + '  ')}")
        else:
            lines.append(f"{indent}{key:<{width}}  {_inline(value)}\n")
    return "".join(lines)


def _inline(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | tuple | dict) else str(value)


def placement_table(placement: Placement) -> str:
    """Return a table of a placement's items: where each lies, in bytes, and its stride, in elements."""
    rows = [
        (
            item.name,
            item.kind.value,
            item.dtype,
            " x ".join(map(str, item.shape)) or "-",
            item.unit or "-",
            placement.offsets[item.name],
            placement.item_bytes(item.name),
            0 if item.kind is ItemKind.SCALAR else placement.stride(item.name),
        )
        for item in placement.layout.items
    ]
    return table(("item", "kind", "dtype", "shape", "unit", "offset", "bytes", "stride"), rows)


def placement_mapping(placement: Placement) -> dict[str, Any]:
    """Return a placement as plain JSON values: the items with offset, bytes and stride, and the blob."""
    items = [
        {
            **item.to_mapping(),
            "offset": placement.offsets[item.name],
            "bytes": placement.item_bytes(item.name),
            "stride": 0 if item.kind is ItemKind.SCALAR else placement.stride(item.name),
        }
        for item in placement.layout.items
    ]
    return {
        "rows": placement.rows,
        "alignment": placement.layout.alignment,
        "blob_bytes": placement.blob_bytes,
        "layout_sha256": placement.layout.digest(),
        "items": items,
    }


def print_json(value: Any) -> None:
    """Print JSON with two spaces of indent."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
