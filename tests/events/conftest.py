from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from soaflow.events.datasets import Dataset
from soaflow.soa.layout import ItemKind
from soaflow.soa.storage import map_blob, read_header

Arrays = dict[str, dict[str, np.ndarray]]


@pytest.fixture(scope="session")
def real_file() -> Path:
    return Path(__file__).parents[2] / "resources" / "nano_tt_v15.root"


@pytest.fixture(scope="session")
def read_items() -> Callable[[Path], Arrays]:
    """Read copies of all items of a file, by collection and item."""

    def read(path: Path) -> Arrays:
        header = read_header(path)
        blobs = {name: map_blob(header, name) for name in header.collections}
        return {
            name: {item: blob.array(item).copy() for item in blob.placement.layout.names}
            for name, blob in blobs.items()
        }

    return read


@pytest.fixture(scope="session")
def join() -> Callable[[Dataset, list[Arrays]], Arrays]:
    """Concatenate shards, with `event` and `track` shifted to rows of the whole."""

    def joined(dataset: Dataset, shards: list[Arrays]) -> Arrays:
        layouts = dataset.layouts()
        whole: dict[str, dict[str, list[np.ndarray]]] = {
            name: {item: [] for item in layout.names} for name, layout in layouts.items()
        }
        events, tracks = 0, 0
        for shard in shards:
            for name, items in shard.items():
                for item, values in items.items():
                    shift = {"event": events, "track": tracks}.get(item, 0) if name != "events" else 0
                    whole[name][item].append(values + values.dtype.type(shift) if shift else values)
            events += len(shard["events"][layouts["events"].names[0]])
            tracks += len(shard["tracks"]["pt"]) if "tracks" in shard else 0
        return {
            name: {
                item: values[0] if layouts[name][item].kind is ItemKind.SCALAR else np.concatenate(values)
                for item, values in items.items()
            }
            for name, items in whole.items()
        }

    return joined


@pytest.fixture(scope="session")
def assert_same() -> Callable[[Arrays, Arrays], None]:
    """Check that items are equal to the bit, in names, order, dtypes and values."""

    def check(got: Arrays, expected: Arrays) -> None:
        assert list(got) == list(expected)
        for name, items in expected.items():
            assert list(got[name]) == list(items)
            for item, values in items.items():
                np.testing.assert_array_equal(got[name][item], values, err_msg=f"{name}/{item}", strict=True)

    return check


@pytest.fixture(scope="session")
def write_root() -> Callable[..., str]:
    """Write a TTree from lists of numbers (awkward arrays) and single numbers (NumPy arrays)."""

    def write(path: Path, branches: Mapping[str, Any], tree: str = "Events", basket: int = 1000) -> str:
        types = {
            name: values.type.content if isinstance(values, ak.Array) else values.dtype
            for name, values in branches.items()
        }
        entries = len(next(iter(branches.values())))
        with uproot.recreate(path) as file:
            file.mktree(tree, types)
            for start in range(0, entries, basket):
                file[tree].extend({name: values[start : start + basket] for name, values in branches.items()})
        return str(path)

    return write
