"""Predictions say what they were made from: other weights or other events give other digests."""

import json
from pathlib import Path

from soaflow.files import sha256_of_file
from soaflow.infer.identity import made_from
from soaflow.soa.layout import Item, Layout
from soaflow.soa.storage import EVENTS, writing


def events(path: Path, rows: int = 3, dtype: str = "float32", **attributes: int) -> Path:
    placement = Layout.of(Item("pt", dtype)).place(rows)
    with writing(path, EVENTS, {"particles": placement}, {"dataset": "toy", **attributes}):
        pass
    return path


def test_other_events_have_another_digest(tmp_path: Path) -> None:
    found = [
        made_from(events(tmp_path / f"{number}.h5", **options))
        for number, options in enumerate(
            [{"seed": 1}, {"seed": 1}, {"seed": 2}, {"seed": 1, "rows": 4}, {"seed": 1, "first_event": 5}]
        )
    ]
    wider = made_from(events(tmp_path / "wide.h5", dtype="float64", seed=1))
    digests = [entry["events_sha256"] for entry in (*found, wider)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 5
    assert set(found[0]) == {"events_sha256"}


def test_weights_are_those_of_the_file(tmp_path: Path) -> None:
    path = events(tmp_path / "events.h5")
    for content in (b"one", b"other"):
        (tmp_path / "weights.pt").write_bytes(content)
        found = made_from(path, weights=tmp_path / "weights.pt")
        assert found["weights_sha256"] == sha256_of_file(tmp_path / "weights.pt")
    assert json.loads(json.dumps(found)) == found
