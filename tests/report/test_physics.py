"""Figures against slow ones, which rows are used, and pictures of any number of rows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from soaflow.errors import ConfigError, StorageError
from soaflow.physics.separation import auc_error
from soaflow.report.physics import physics_plot
from soaflow.report.response import response_along_truth
from soaflow.soa.split import split_rows

REGRESSION = {"output": "reco_pt", "collection": "jets", "item": "gen_pt", "loss": "squared_error"}
TAGGING = {
    "output": "b_probability",
    "collection": "jets",
    "item": "flavour",
    "loss": "binary_cross_entropy",
    "equals": 5,
}
CLASSES = {"output": "logits", "collection": "jets", "item": "image_class", "loss": "cross_entropy"}

WriteShard = Callable[..., tuple[Path, Path]]


def figures_of(
    shards: list[tuple[Path, Path]], target: dict[str, Any], tmp_path: Path, fraction: float = 0.2
) -> dict[str, Any]:
    """Draw twice, check that the bytes are equal, and return the figures."""
    for name in ("one", "two"):
        physics_plot(
            [shard[0] for shard in shards],
            [shard[1] for shard in shards],
            target,
            tmp_path / f"{name}.svg",
            tmp_path / f"{name}.json",
            model="Net",
            validation_fraction=fraction,
        )
    for suffix in ("svg", "json"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()
    assert b"<dc:date>" not in (tmp_path / "one.svg").read_bytes()
    figures: dict[str, Any] = json.loads((tmp_path / "one.json").read_text())
    return figures


@pytest.mark.parametrize("target", [REGRESSION, TAGGING, CLASSES], ids=lambda target: target["loss"])
@pytest.mark.parametrize("rows", [0, 1, 2, 30, 700])
def test_any_number_of_rows(
    target: dict[str, Any], rows: int, write_shard: WriteShard, tmp_path: Path
) -> None:
    figures = figures_of([write_shard(rows)], target, tmp_path, fraction=0.99)
    assert figures["rows"] == int(rows * 0.99)
    assert figures["of"] == "validation rows: 99 % of the file"


def test_only_the_validation_rows_of_each_file_count(write_shard: WriteShard, tmp_path: Path) -> None:
    shards = []
    for number, rows in enumerate((11, 25)):
        truth = np.full(rows, 10.0)
        prediction = truth * 100
        for begin, end in split_rows(rows, 0.2).validation:
            prediction[begin:end] = 12.0
        shards.append(write_shard(rows, number, gen_pt=truth, reco_pt=prediction))
    figures = figures_of(shards, REGRESSION, tmp_path)
    assert (figures["rows"], figures["used"]) == (2 + 5, 7)
    assert figures["bias"] == pytest.approx(0.2)
    assert figures["resolution"] == pytest.approx(0.0)
    assert figures["of"] == "validation rows: 20 % of each of 2 files"


def test_resolution_is_half_the_central_68_per_cent(write_shard: WriteShard, tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    truth = random.uniform(10, 100, 20000)
    shard = write_shard(20000, gen_pt=truth, reco_pt=truth * random.normal(1.1, 0.05, 20000))
    figures = figures_of([shard], REGRESSION, tmp_path, 0.9)
    assert figures["bias"] == pytest.approx(0.1, abs=2e-3)
    assert figures["resolution"] == pytest.approx(0.05, rel=0.03)


def test_rows_without_a_response_are_counted(write_shard: WriteShard, tmp_path: Path) -> None:
    shard = write_shard(5, gen_pt=[10.0, -1.0, 0.0, 10.0, 10.0], reco_pt=[10.0, 5.0, 5.0, np.nan, np.inf])
    figures = figures_of([shard], REGRESSION, tmp_path, 0.999)
    assert (figures["rows"], figures["used"], figures["left_out"]) == (4, 0, 4)
    assert figures["resolution"] is None


@given(
    hnp.arrays(np.float64, st.integers(1, 300), elements=st.sampled_from([0.5, 1.0, 2.0, 7.0, 7.5, 300.0])),
    st.randoms(use_true_random=False),
)
def test_bins_hold_every_row_once(truth: np.ndarray[Any, Any], random: Any) -> None:
    response = np.array([random.uniform(0.5, 1.5) for _ in truth])
    along = response_along_truth(truth, response)
    assert len(along.edges) == len(along.centres) + 1
    assert along.edges[0] <= truth.min()
    assert truth.max() <= along.edges[-1]
    assert np.all(np.diff(along.edges) > 0)
    counts = 0
    for i, (low, high) in enumerate(zip(along.edges[:-1], along.edges[1:], strict=True)):
        last = i == len(along.centres) - 1
        inside = (truth >= low) & ((truth <= high) if last else (truth < high))
        counts += np.count_nonzero(inside)
        assert along.median[i] == np.quantile(response[inside], 0.5)
        assert along.centres[i] == np.median(truth[inside])
    assert counts == len(truth)


def test_area_is_the_chance_that_signal_scores_above_background(
    write_shard: WriteShard, tmp_path: Path
) -> None:
    random = np.random.default_rng(4)
    flavour, score = random.choice([0, 5], 200), random.integers(0, 20, 200) / 20
    figures = figures_of([write_shard(200, flavour=flavour, b_probability=score)], TAGGING, tmp_path, 0.995)
    kept = [row for begin, end in split_rows(200, 0.995).validation for row in range(begin, end)]
    assert len(kept) == 199
    flavour, score = flavour[kept], score[kept].astype(np.float32)
    signal, background = score[flavour == 5], score[flavour == 0]
    pairs = [(s > b) + 0.5 * (s == b) for s in signal for b in background]
    assert figures["auc"] == pytest.approx(np.mean(pairs))
    assert (figures["signal"], figures["background"]) == (len(signal), len(background))
    for efficiency, mistag in figures["mistag"].items():
        threshold = max(t for t in score if np.mean(signal >= t) >= float(efficiency))
        assert mistag == pytest.approx(np.mean(background >= threshold))


def test_error_of_the_area_is_told(write_shard: WriteShard, tmp_path: Path) -> None:
    figures = figures_of([write_shard(700)], TAGGING, tmp_path)
    assert figures["auc_error"] == auc_error(figures["auc"], figures["signal"], figures["background"]) > 0
    none = figures_of([write_shard(100, 1, flavour=np.zeros(100, int))], TAGGING, tmp_path)
    assert (none["auc"], none["auc_error"]) == (None, None)


def test_swapped_scores_are_seen(write_shard: WriteShard, tmp_path: Path) -> None:
    flavour = np.array([5, 0] * 50)
    right = write_shard(100, 0, flavour=flavour, b_probability=(flavour == 5) * 0.8 + 0.1)
    wrong = write_shard(100, 1, flavour=flavour, b_probability=(flavour != 5) * 0.8 + 0.1)
    assert figures_of([right], TAGGING, tmp_path)["auc"] == 1.0
    assert figures_of([wrong], TAGGING, tmp_path)["auc"] == 0.0


def test_confusion_counts_pairs(write_shard: WriteShard, tmp_path: Path) -> None:
    truth, predicted = np.array([0, 0, 1, 3, 3, 3]), np.array([0, 1, 1, 3, 3, 0])
    logits = np.eye(4)[predicted]
    logits[0, 0] = np.nan
    figures = figures_of([write_shard(6, image_class=truth, logits=logits)], CLASSES, tmp_path, 0.9999)
    assert figures["confusion"] == [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 2]]
    assert (figures["accuracy"], figures["rows"], figures["left_out"]) == (0.6, 5, 0)


def test_what_does_not_fit_is_refused(write_shard: WriteShard, tmp_path: Path) -> None:
    shard, longer = write_shard(10), write_shard(12, 1)
    for shards, target, error, sentence in (
        ([shard], {**REGRESSION, "loss": "hinge"}, ConfigError, "loss 'hinge' of output 'reco_pt' has no"),
        ([shard], {**REGRESSION, "item": "ptt"}, StorageError, "has no item 'ptt' in collection 'jets'"),
        ([shard], {**REGRESSION, "output": "out"}, StorageError, "predictions_0.h5 has no item 'out'"),
        ([shard], {**REGRESSION, "collection": "no"}, StorageError, "no collection 'no'"),
        ([], REGRESSION, StorageError, "0 events and 0 predictions files"),
        ([(shard[0], longer[1])], REGRESSION, StorageError, "has 12 rows and .* has 10 of 'jets'"),
        ([(shard[1], shard[1])], REGRESSION, StorageError, "holds predictions, not events"),
        ([shard], {**CLASSES, "output": "reco_pt"}, StorageError, "give .classes."),
        ([write_shard(5, 2, image_class=[4] * 5)], CLASSES, StorageError, "classes from 4 to 4"),
    ):
        with pytest.raises(error, match=sentence):
            figures_of(shards, target, tmp_path)
        assert not list(tmp_path.glob("*.svg"))
