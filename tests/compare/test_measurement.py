"""Measurements of shards: what is merged, and what is refused."""

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soaflow.compare.differences import differences
from soaflow.compare.measurement import (
    Measurement,
    OutputMeasurement,
    Shard,
    merged,
    read_measurement,
    write_measurement,
)
from soaflow.errors import StorageError


def measured(name: str, rows: int = 5, **changes: Any) -> Measurement:
    random = np.random.default_rng(int(name))
    values = random.normal(size=rows)
    figures = differences(values, values.astype(np.float32), shard=name)
    output = OutputMeasurement("pt", "GeV", "float32", figures)
    shards = (Shard(name, rows, f"events {name}"),)
    return dataclasses.replace(Measurement("toy", "Net", "jit", "w", shards, (output,)), **changes)


def test_shards_are_merged_in_any_order() -> None:
    parts = [measured("10", 3), measured("2", 4), measured("0", 5)]
    whole = merged(parts)
    assert [shard.name for shard in whole.shards] == ["0", "2", "10"]
    assert whole.rows == whole.outputs[0].differences.rows == 12
    for order in itertools.permutations(parts):
        assert merged(order, ["0", "2", "10"]) == whole


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        ([], "lacks shard 1"),
        ([measured("1"), measured("2")], "has the unknown shard 2"),
        ([measured("1"), measured("1")], "shard 1 stands twice; give each shard once"),
        ([measured("1", weights_sha256="v")], "are of other weights"),
        ([measured("1", dataset="other")], "are of other dataset"),
        ([measured("1", model="Other")], "are of other model"),
        ([measured("1", variant="aot")], "are of other variant"),
        ([measured("1", shards=(Shard("1", 5, "events 0"),))], "two shards are of the same events"),
        (
            [
                measured(
                    "1",
                    outputs=(dataclasses.replace(measured("1").outputs[0], item="eta"),),
                )
            ],
            "are of other outputs",
        ),
    ],
)
def test_shards_that_do_not_belong_together_are_refused(others: list[Measurement], sentence: str) -> None:
    assert merged([measured("0"), measured("1")], ["0", "1"]).rows == 10
    with pytest.raises(StorageError, match=sentence):
        merged([measured("0"), *others], ["0", "1"])


def test_nothing_measured_is_refused() -> None:
    with pytest.raises(StorageError, match="there is no measurement to judge"):
        merged([])


def test_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "measurement.json"
    for measurement in (measured("3"), measured("3", 0), merged([measured("3"), measured("4")])):
        write_measurement(path, measurement)
        assert read_measurement(path) == measurement
    assert "tolerance" not in path.read_text()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"measurement_version": 0}, "its measurement_version is 0 and not 1"),
        ({"rows": 6}, "measurement.rows is 6, which contradicts the figures"),
        ({"shards": []}, "an output has another number of rows"),
        ({"extra": 1}, "unknown key 'extra'"),
        ({"histogram_edges": [1.0]}, "histogram_edges"),
    ],
)
def test_changed_file_is_refused(change: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "measurement.json"
    write_measurement(path, measured("3"))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(StorageError, match=rf"measurement\.json is not a measurement.*{sentence}"):
        read_measurement(path)
