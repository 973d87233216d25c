from pathlib import Path

import numpy as np
import pytest

from soaflow.errors import StorageError
from soaflow.events.datasets import ToyDataset
from soaflow.events.shards import write_shard
from soaflow.lineage import rows
from soaflow.lineage.rows import row_digests
from soaflow.soa.storage import EVENTS, map_blob, read_header

COLLECTIONS = ("particles", "images", "tracks", "hits")


def write_toy(folder: Path, shards: int, *, seed: int = 3) -> list[Path]:
    toy = ToyDataset("toy", seed=seed, events=30, shards=shards, collections=COLLECTIONS)
    paths = [folder / str(shards) / f"{shard}.h5" for shard in range(shards)]
    for shard, path in enumerate(paths):
        write_shard(toy, shard, path)
    return paths


def test_the_same_rows_in_other_shards_have_the_same_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = row_digests(write_toy(tmp_path, 1), EVENTS)
    assert len(whole) > 20
    monkeypatch.setattr(rows, "ROWS_PER_CHUNK", 7)
    assert row_digests(write_toy(tmp_path, 3), EVENTS) == whole
    assert len(set(whole.values())) > 15


@pytest.mark.parametrize(
    ("collection", "item"), [("particles", "pt"), ("images", "g"), ("hits", "track"), ("tracks", "event")]
)
def test_one_changed_value_changes_the_digest_of_its_item_alone(
    tmp_path: Path, collection: str, item: str
) -> None:
    paths = write_toy(tmp_path, 3)
    before = row_digests(paths, EVENTS)
    values = map_blob(read_header(paths[1], EVENTS), collection, shared=True).array(item)
    assert len(values)
    values[-1:] += 1
    after = row_digests(paths, EVENTS)
    assert [name for name in before if before[name] != after[name]] == [f"{collection}/{item}"]


def test_rows_in_another_order_have_another_digest(tmp_path: Path) -> None:
    first, second = write_toy(tmp_path, 2)
    ordered, turned = row_digests([first, second], EVENTS), row_digests([second, first], EVENTS)
    assert ordered["particles/pt"] != turned["particles/pt"]


def test_shards_of_other_items_or_scalars_are_refused(tmp_path: Path) -> None:
    first, second = write_toy(tmp_path, 2)
    scale = map_blob(read_header(second, EVENTS), "hits", shared=True).array("scale")
    scale[...] = np.float32(2) * scale
    with pytest.raises(StorageError, match="several values of scalar hits/scale"):
        row_digests([first, second], EVENTS)
    other = tmp_path / "other.h5"
    write_shard(ToyDataset("toy", seed=1, events=3, shards=1, collections=("particles",)), 0, other)
    with pytest.raises(StorageError, match="has other items than"):
        row_digests([first, other], EVENTS)
