"""Tables and lists of plain text for a terminal.

>>> print(table(("item", "offset"), [("pt", 0), ("eta", 256)]), end="")
item  offset
pt         0
eta      256
"""

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from soaflow.soa.layout import ItemKind, Placement

LINE_LENGTH = 110
"""Signs of a line, where long lists are broken."""


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
    """Return a line for each key and its value.

    Mappings inside follow, further to the right, and lists of mappings as tables; empty ones are left out.

    >>> print(listed({"rows": 3, "flags": ["-O3", "-Wall"], "sums": {"pt": 0.5}, "options": {}}), end="")
      rows   3
      flags  -O3, -Wall
      sums
        pt  0.5
    """
    inside, width = (
        indent + "  ",
        max((len(key) for key, value in values.items() if _fits_line(value)), default=0),
    )
    lines = []
    for key, value in values.items():
        if _fits_line(value):
            lines.append(_wrapped(f"{indent}{key:<{width}}  ", _inline(value)))
        elif isinstance(value, Mapping):
            lines.append(f"{indent}{key}\n{listed(value, inside)}" if value else "")
        else:
            rows = [
                [cell if isinstance(cell, int | float) else _inline(cell) for cell in row.values()]
                for row in value
            ]
            lines.append(f"{indent}{key}\n{textwrap.indent(table(list(value[0]), rows), inside)}")
    return "".join(lines)


def _fits_line(value: Any) -> bool:
    return not isinstance(value, Mapping) and not (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(one, Mapping) and list(one) == list(value[0]) for one in value)
    )


def _inline(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_inline, value)) or "none"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _wrapped(start: str, text: str) -> str:
    """Return a line, or several when the text is too long for one, all after the start."""
    if len(start) + len(text) <= LINE_LENGTH:
        return f"{start}{text}\n"
    width = max(LINE_LENGTH - len(start), 40)
    parts = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return start + f"\n{' ' * len(start)}".join(parts) + "\n"


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
