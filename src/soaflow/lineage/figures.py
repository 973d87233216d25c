"""Figures over all rows of a dataset, as they would stand for any number of shards.

The invariant: two files of figures over the same rows become the same value, whatever the shards of the rows.

>>> file = {"shards": [{"name": "0", "rows": 3, "events_sha256": "a"}, {"name": "1", "rows": 4}]}
>>> file["worst"] = {"shard": "1", "row": 2, "difference": 0.5}
>>> file["first_differing"] = ["1", 0]
>>> without_shards(file)
{'worst': {'row': 5, 'difference': 0.5}, 'first_differing': 3}
"""

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

_OF_SHARDS = ("shards", "shard", "events_sha256")
"""Keys that say which shards, and nothing of the rows."""


def without_shards(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures without their shards, and with rows counted through all of these.

    Parameters
    ----------
    figures
        As JSON values; `shards` gives `name` and `rows` of each shard, in their order.
    """
    shards = figures.get("shards", [])
    ends = accumulate(shard["rows"] for shard in shards)
    begins = {shard["name"]: end - shard["rows"] for shard, end in zip(shards, ends, strict=True)}
    plain: dict[str, Any] = _plain(figures, begins)
    return plain


def _plain(value: Any, begins: Mapping[str, int]) -> Any:
    if isinstance(value, Mapping):
        plain = {key: _plain(entry, begins) for key, entry in value.items() if key not in _OF_SHARDS}
        if value.get("shard") in begins and "row" in value:
            plain["row"] = begins[value["shard"]] + value["row"]
        return plain
    if isinstance(value, list):
        if len(value) == 2 and isinstance(value[0], str) and value[0] in begins and isinstance(value[1], int):
            return begins[value[0]] + value[1]
        return [_plain(entry, begins) for entry in value]
    return value
