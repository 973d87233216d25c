"""The layouts that CMSSW's headers laid out, as `tests/data/README.md` tells."""

import json
from pathlib import Path

from soaflow.soa.layout import Item, ItemKind, Layout, Placement

GOLDEN = json.loads((Path(__file__).parent / "data" / "soa_layout.json").read_text())
CPP_DTYPES = {"float": "float32", "double": "float64", "uint8_t": "uint8", "int32_t": "int32"}


def golden_placement(case: dict) -> Placement:
    items = []
    for entry in GOLDEN["layouts"][case["layout"]]:
        kind = ItemKind(entry["kind"])
        shape = (entry["rows"], entry["cols"]) if kind is ItemKind.EIGEN else ()
        shape = shape[:1] if shape[1:] == (1,) else shape
        items.append(Item(entry["name"], CPP_DTYPES[entry["type"]], kind, shape))
    return Layout(tuple(items), case["alignment"]).place(case["rows"])
