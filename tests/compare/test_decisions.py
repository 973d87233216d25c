"""Figures of decisions against slow ones, for any chunks and shards, and through files."""

import dataclasses
import itertools
import json
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import roc_auc_score

from soaflow.compare.chunks import Chunk, Chunks
from soaflow.compare.classification import Classification, classification
from soaflow.compare.decisions import Decisions, read_decisions, write_decisions
from soaflow.compare.measurement import merged
from soaflow.compare.measuring import measure_files
from soaflow.compare.measuring_decisions import measure_decisions
from soaflow.compare.observables import Column, Observable, ObservableKind, Truth, WorkingPoint
from soaflow.compare.resolution import resolution
from soaflow.compare.separation import Separation, separation
from soaflow.compare.working_points import FLIPS_KEPT, at_working_points
from soaflow.errors import ConfigError, StorageError
from soaflow.physics.efficiency import Efficiency
from soaflow.records import to_json
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.storage import EVENTS, PREDICTIONS, map_blob, read_header, writing

Array = np.ndarray[Any, Any]
SPECIAL = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0, 0.25, 0.5, 0.5, 1.0])
ROWS = st.integers(0, 40)
SCORE = Observable(
    "b_tag",
    ObservableKind.SCORE,
    (Column("b"),),
    Truth("jets", "flavour", 5),
    (WorkingPoint("loose", 0.25), WorkingPoint("tight", 0.5)),
)
CLASS = Observable(
    "flavour",
    ObservableKind.CLASS,
    tuple(Column("classes", (i,)) for i in range(3)),
    Truth("jets", "kind"),
    (),
)
REGRESSION = Observable("pt", ObservableKind.REGRESSION, (Column("pt"),), Truth("jets", "gen_pt"), ())


@st.composite
def paired(draw: Any, columns: int = 1) -> tuple[Array, Array, Array]:
    """Scores of reference and candidate with many ties and special numbers, and true classes."""
    rows = draw(ROWS)
    elements = SPECIAL | st.floats(-2, 2)
    reference, value = (draw(hnp.arrays(np.float64, (rows, columns), elements=elements)) for _ in range(2))
    # Mostly equal, as a variant's scores are.
    value = np.where(draw(hnp.arrays(np.bool_, rows))[:, None], reference, value)
    return reference, value, draw(hnp.arrays(np.int32, rows, elements=st.integers(0, 2)))


def chunks_of(reference: Array, value: Array, truth: Array | None, cuts: Sequence[int], flip: bool) -> Chunks:
    """Cut rows into chunks of two shards; `flip` gives the second shard first."""

    def chunks() -> Iterator[Chunk]:
        half = len(value) // 2
        shards = [("2", 0, half), ("10", half, len(value))]
        for name, begin, end in reversed(shards) if flip else shards:
            edges = sorted({begin, end, *(begin + cut for cut in cuts if begin + cut < end)})
            for low, high in itertools.pairwise(edges):
                some = slice(low, high)
                yield Chunk(
                    name, low - begin, reference[some], value[some], None if truth is None else truth[some]
                )

    return chunks


CUTS = st.lists(st.integers(1, 20), max_size=4)


def slow_flips(reference: Array, value: Array, decide: Callable[[Array], Any]) -> list[tuple[str, int]]:
    half = len(value) // 2
    flipped = [row for row in range(len(value)) if decide(reference[row]) != decide(value[row])]
    return [("2", row) if row < half else ("10", row - half) for row in flipped]


def slow_efficiency(reference: list[bool], value: list[bool]) -> Efficiency:
    pairs = list(zip(reference, value, strict=True))
    return Efficiency(len(pairs), sum(reference), pairs.count((False, True)), pairs.count((True, False)))


@settings(deadline=None)
@given(paired(), CUTS, st.booleans())
def test_working_points_against_rows_one_by_one(scores: Any, cuts: list[int], flip: bool) -> None:
    reference, value, truth = scores
    found = at_working_points(chunks_of(reference, value, np.where(truth == 2, 5, 0), cuts, flip)(), SCORE)
    for point, threshold in zip(found, (0.25, 0.5), strict=True):

        def passes(row: Array, threshold: float = threshold) -> bool:
            return not np.isnan(row[0]) and float(row[0]) >= threshold

        for efficiency, chosen in (
            (point.everything, range(len(value))),
            (point.signal, np.flatnonzero(truth == 2)),
            (point.background, np.flatnonzero(truth != 2)),
        ):
            decided = [[passes(array[row]) for row in chosen] for array in (reference, value)]
            assert efficiency == slow_efficiency(*decided)
        flips = slow_flips(reference, value, passes)
        assert point.flipped == len(flips)
        assert [(flip.shard, flip.row) for flip in point.flips] == flips[:FLIPS_KEPT]


@settings(deadline=None)
@given(paired(columns=3), CUTS, st.booleans())
def test_classes_against_rows_one_by_one(scores: Any, cuts: list[int], flip: bool) -> None:
    reference, value, truth = scores
    found = classification(chunks_of(reference, value, truth, cuts, flip)(), 3, "kind")

    def decide(row: Array) -> int | None:
        scores = row.tolist()
        return None if any(map(np.isnan, scores)) else scores.index(max(scores))

    flips = slow_flips(reference, value, decide)
    assert (found.rows, found.flipped) == (len(value), len(flips))
    assert [(flip.shard, flip.row) for flip in found.flips] == flips[:FLIPS_KEPT]
    for index, efficiency in enumerate(found.by_class):
        rows = np.flatnonzero(truth == index)
        decided = [[decide(array[row]) == index for row in rows] for array in (reference, value)]
        assert efficiency == slow_efficiency(*decided)
    right = [[decide(array[row]) == truth[row] for row in range(len(value))] for array in (reference, value)]
    assert found.right == slow_efficiency(*right)


@settings(deadline=None)
@given(paired(), CUTS, st.booleans(), st.integers(1, 50))
def test_areas_against_scikit_learn_and_pair_by_pair(
    scores: Any, cuts: list[int], flip: bool, rows_at_a_time: int
) -> None:
    reference, value, truth = scores
    chunks = chunks_of(reference, value, truth, cuts, flip)
    found = separation(chunks, 2, rows_at_a_time=rows_at_a_time)
    known = ~np.isnan(reference[:, 0]) & ~np.isnan(value[:, 0])
    signal = truth[known] == 2
    assert (found.signal, found.background) == (signal.sum(), (~signal).sum())
    assert found.left_out == len(value) - len(signal)
    if not found.signal or not found.background:
        assert found.reference is found.value is found.shift is found.error is None
        return
    areas, exact = [], []
    for array in (reference, value):
        # scikit-learn takes no infinities: their order is all that counts.
        order = np.unique(array[known, 0], return_inverse=True)[1]
        areas.append(roc_auc_score(signal, order))
        above, below = order[signal].tolist(), order[~signal].tolist()
        wins = sum(2 * (high > low) + (high == low) for high in above for low in below)
        exact.append(Fraction(wins, 2 * len(above) * len(below)))
    assert [found.reference, found.value] == pytest.approx(areas, abs=1e-12)
    assert (found.reference, found.value) == (float(exact[0]), float(exact[1]))
    assert found.shift == float(exact[1] - exact[0])


@settings(deadline=None)
@given(paired(), CUTS, st.booleans(), st.integers(1, 50))
def test_resolution_against_numpy(scores: Any, cuts: list[int], flip: bool, rows_at_a_time: int) -> None:
    reference, value, truth = scores
    gen = truth.astype(np.float32)
    found = resolution(chunks_of(reference, value, gen, cuts, flip), rows_at_a_time=rows_at_a_time)
    finite = np.isfinite(reference[:, 0]) & np.isfinite(value[:, 0])
    used = finite & (truth > 0)
    assert (found.used, found.without_truth) == (used.sum(), (truth == 0).sum())
    assert found.not_finite == (~finite & (truth > 0)).sum()
    for response, array in ((found.reference, reference), (found.value, value)):
        if not found.used:
            assert response is None
            continue
        deviation = array[used, 0] / truth[used]
        low, median, high = np.quantile(deviation, (0.16, 0.5, 0.84))
        assert response is not None
        assert response.bias == median - 1
        assert response.resolution == (high - low) / 2
        assert found.bias_shift is not None


PREDICTED = Layout.of(
    Item("b", "float64"), Item("classes", "float64", ItemKind.EIGEN, (3,)), Item("pt", "float64", unit="GeV")
)
TRUE = Layout.of(Item("flavour", "int32"), Item("kind", "int32"), Item("gen_pt", "float32", unit="GeV"))


def sample(rows: int, seed: int = 1) -> tuple[dict[str, Array], dict[str, Array]]:
    """Events and predictions of some jets."""
    random = np.random.default_rng(seed)
    kind = random.integers(0, 3, rows)
    gen_pt = random.exponential(40, rows) + 15
    events = {"flavour": np.array([0, 4, 5])[kind], "kind": kind, "gen_pt": gen_pt}
    classes = np.eye(3)[kind] + random.exponential(0.4, (rows, 3))
    classes /= classes.sum(axis=1, keepdims=True)
    return events, {"b": classes[:, 2], "classes": classes, "pt": gen_pt * random.normal(1.02, 0.1, rows)}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, kind: str, values: dict[str, Array], **attributes: str) -> Path:
        layout, collection = (TRUE, "jets") if kind == EVENTS else (PREDICTED, "predictions")
        rows = len(values[layout.names[0]])
        described = {"dataset": "ttbar", "shard": "0", "model": "Net", "variant": "jit"} | attributes
        path = tmp_path / f"{name}.h5"
        with writing(path, kind, {collection: layout.place(rows)}, described) as writer:
            for item in layout.names:
                writer.write(collection, item, values[item])
        return path

    return write


@pytest.fixture
def measure(write: Any) -> Callable[..., Decisions]:
    """Measure changed predictions of one shard."""

    def measure(change: Callable[[dict[str, Array]], None], **replaced: Array) -> Decisions:
        events, predictions = sample(2000)
        predictions |= replaced
        changed = {name: array.copy() for name, array in predictions.items()}
        change(changed)
        return measure_decisions(
            [write("reference", PREDICTIONS, predictions, variant="reference")],
            [write("candidate", PREDICTIONS, changed)],
            [write("events", EVENTS, events)],
            [SCORE, CLASS, REGRESSION],
        )

    return measure


def test_the_same_predictions_shift_nothing(measure: Any) -> None:
    found = measure(lambda _: None)
    assert [point.flipped for point in found.scores[0].working_points] == [0, 0]
    assert (found.scores[0].separation.shift, found.classes[0].classification.flipped) == (0, 0)
    both = found.regressions[0].resolution
    assert (both.bias_shift, both.resolution_shift, both.reference) == (0, 0, both.value)
    assert 0.6 < found.scores[0].separation.reference < 1
    assert both.reference.resolution == pytest.approx(0.1, rel=0.1)


def test_rows_that_flip_are_named(measure: Any) -> None:
    _, predictions = sample(2000)
    rows = [int(row) for row in np.flatnonzero(predictions["b"] >= 0.5)[[3, 40]]]

    def perturb(values: dict[str, Array]) -> None:
        values["b"][rows] = np.nextafter(0.5, 0), np.nan

    loose, tight = measure(perturb).scores[0].working_points
    assert [(flip.row, flip.value) for flip in tight.flips] == [
        (rows[0], ("0.49999999999999994",)),
        (rows[1], ("nan",)),
    ]
    assert tight.flips[0].reference == (str(predictions["b"][rows[0]]),)
    assert (tight.everything.gained, tight.everything.lost) == (0, 2)
    assert tight.everything.shift == -2 / 2000
    assert [flip.row for flip in loose.flips] == [rows[1]]


def test_a_perturbed_weight_flips_the_rows_between_the_thresholds(measure: Any) -> None:
    inputs = np.random.default_rng(6).normal(size=2000)

    def scores(weight: float) -> Array:
        return 1 / (1 + np.exp(-weight * (inputs - 0.5)))

    found = measure(lambda values: values.update(b=scores(2.01)), b=scores(2.0)).scores[0]
    # The score is at a quarter where the input is 0.5 - log(3) / weight: nearer for the larger weight.
    low, high = 0.5 - np.log(3) / 2.0, 0.5 - np.log(3) / 2.01
    expected = np.flatnonzero((inputs >= low) & (inputs < high)).tolist()
    loose, tight = found.working_points
    assert expected
    assert [flip.row for flip in loose.flips] == expected[:FLIPS_KEPT]
    assert (loose.everything.gained, loose.everything.lost) == (0, len(expected))
    assert tight.flipped == 0


def test_a_swapped_class_column_is_seen(measure: Any) -> None:
    def swap(values: dict[str, Array]) -> None:
        values["classes"] = values["classes"][:, [1, 0, 2]]

    decided = measure(swap).classes[0].classification
    assert decided.flipped > 1000
    assert decided.right.shift < -0.5
    assert abs(decided.by_class[2].shift) < 0.05 < abs(decided.by_class[0].shift)


def test_permuted_scores_shift_the_area_by_what_scikit_learn_says(measure: Any) -> None:
    order = np.random.default_rng(5).permutation(100)

    def permute(values: dict[str, Array]) -> None:
        values["b"][:100] = values["b"][:100][order]

    found = measure(permute).scores[0].separation
    events, predictions = sample(2000)
    signal = events["flavour"] == 5
    before = roc_auc_score(signal, predictions["b"])
    permute(predictions)
    assert found.shift == pytest.approx(roc_auc_score(signal, predictions["b"]) - before, abs=1e-12)
    assert found.shift < -0.01


def test_a_biased_regression_is_seen(measure: Any) -> None:
    def scale(values: dict[str, Array]) -> None:
        values["pt"] *= 1.01

    found = measure(scale).regressions[0].resolution
    assert found.bias_shift == pytest.approx(0.01 * (1 + found.reference.bias))
    assert found.resolution_shift == pytest.approx(0.01 * found.reference.resolution)


def shards_of(write: Any, rows: Sequence[int]) -> list[tuple[Path, Path, Path]]:
    shards = []
    for number, count in enumerate(rows):
        events, predictions = sample(count, number)
        noise = np.random.default_rng(number + 100)
        changed = {name: array + noise.normal(0, 0.02, array.shape) for name, array in predictions.items()}
        name = str(number)
        shards.append(
            (
                write(f"reference_{name}", PREDICTIONS, predictions, shard=name, variant="reference"),
                write(f"candidate_{name}", PREDICTIONS, changed, shard=name),
                write(f"events_{name}", EVENTS, events, shard=name),
            )
        )
    return shards


def test_neither_chunks_nor_the_order_of_shards_change_a_byte(write: Any, tmp_path: Path) -> None:
    shards = shards_of(write, [300, 0, 501, 77])
    texts = set()
    for order, rows_per_chunk, rows_at_a_time in (
        ([0, 1, 2, 3], 1 << 17, 1 << 20),
        ([3, 2, 1, 0], 64, 200),
        ([1, 3, 0, 2], 97, 31),
    ):
        found = measure_decisions(
            *zip(*(shards[index] for index in order), strict=True),
            [SCORE, CLASS, REGRESSION],
            rows_per_chunk=rows_per_chunk,
            rows_at_a_time=rows_at_a_time,
        )
        write_decisions(tmp_path / "decisions.json", found)
        assert read_decisions(tmp_path / "decisions.json") == found
        assert found.rows == 878
        assert found.classes[0].classification.flipped > FLIPS_KEPT
        texts.add((tmp_path / "decisions.json").read_text())
    assert len(texts) == 1


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(rows: int, write: Any, tmp_path: Path) -> None:
    found = measure_decisions(*zip(*shards_of(write, [rows]), strict=True), [SCORE, CLASS, REGRESSION])
    assert found.scores[0].separation.reference is None
    write_decisions(tmp_path / "decisions.json", found)
    assert read_decisions(tmp_path / "decisions.json") == found


def test_predictions_from_elsewhere_are_compared_too(write: Any, tmp_path: Path) -> None:
    reference, candidate, events = shards_of(write, [50])[0]
    own = measure_decisions([reference], [candidate], [events], [SCORE, CLASS, REGRESSION])
    blob = map_blob(read_header(candidate), "predictions")
    np.savez(tmp_path / "jit.npz", **{name: blob.array(name) for name in PREDICTED.names})
    found = measure_decisions([reference], [tmp_path / "jit.npz"], [events], [SCORE, CLASS, REGRESSION])
    assert found == own


def test_a_missing_output_is_refused(write: Any) -> None:
    other = dataclasses.replace(REGRESSION, columns=(Column("mass"),))
    with pytest.raises(StorageError, match="has no output 'mass': run inference with this model again"):
        measure_decisions(*zip(*shards_of(write, [5]), strict=True), [other])


def test_truths_of_two_collections_are_refused(write: Any) -> None:
    elsewhere = dataclasses.replace(CLASS, truth=Truth("tracks", "kind"))
    with pytest.raises(ConfigError, match="in the collections jets, tracks: the rows predicted are of one"):
        measure_decisions(*zip(*shards_of(write, [5]), strict=True), [SCORE, elsewhere])


def test_without_truth_no_events_are_opened(write: Any, tmp_path: Path) -> None:
    reference, candidate, _ = shards_of(write, [50])[0]
    score, decided = (dataclasses.replace(observable, truth=None) for observable in (SCORE, CLASS))
    found = measure_decisions([reference], [candidate], [tmp_path / "no.h5"], [score, decided])
    assert found.scores[0].separation is found.classes[0].classification.right is None
    assert found.scores[0].working_points[0].signal is None


def test_a_file_that_contradicts_itself_is_refused(write: Any, tmp_path: Path) -> None:
    found = measure_decisions(*zip(*shards_of(write, [300]), strict=True), [SCORE, CLASS, REGRESSION])
    path = tmp_path / "decisions.json"
    for keys, value in (
        (("scores", 0, "working_points", 0, "everything", "shift"), 0.125),
        (("scores", 0, "working_points", 0, "signal", "lost"), 77),
        (("scores", 0, "working_points", 0, "flips"), []),
        (("scores", 0, "separation", "value_pairs"), 10**9),
        (("classes", 0, "classification", "flipped"), 0),
        (("regressions", 0, "resolution", "reference"), None),
        (("regressions", 0, "resolution", "bias_shift"), 0.5),
        (("rows",), 301),
        (("shards", 0, "rows"), 301),
        (("decision_version",), 2),
    ):
        changed = json.loads(json.dumps(to_json(found)))
        inner = changed
        for key in keys[:-1]:
            inner = inner[key]
        assert inner[keys[-1]] != value
        inner[keys[-1]] = value
        path.write_text(json.dumps(changed))
        with pytest.raises(StorageError, match=r"is not a decision.* measure the predictions again"):
            read_decisions(path)


def test_files_that_do_not_fit_are_refused(write: Any) -> None:
    (one, two) = shards_of(write, [20, 20])
    other = write("other", PREDICTIONS, sample(20, 1)[1], shard="1", variant="onnx")
    stale = write("stale", PREDICTIONS, sample(20, 0)[1], events_sha256="0")
    fresh = write(
        "fresh", PREDICTIONS, sample(20, 0)[1], events_sha256=read_header(one[2]).description_sha256()
    )
    more = write("more", EVENTS, sample(21)[0])
    unknown = write("unknown", EVENTS, sample(20)[0] | {"kind": np.full(20, 3)})
    for files, sentence in (
        (
            [(one[0], one[1], one[2]), (one[0], one[1], one[2])],
            "shard '0' of .* give each shard of one run once",
        ),
        ([one, (two[0], other, two[2])], "shard '1' of dataset 'ttbar', model 'Net', variant 'onnx', beside"),
        ([(one[0], one[1], more)], "has 21 rows of 'jets' and .* has 20"),
        ([(one[0], stale, one[2])], "stale.h5 was made from other events"),
        ([(one[0], one[1], unknown)], "jets/kind has classes from 3 to 3 in shard 0, and .* 0 to 2"),
        ([(one[0], one[1], two[0])], "holds predictions, not events"),
        ([], "0 references, 0 predictions"),
    ):
        with pytest.raises(StorageError, match=sentence):
            measure_decisions(*(list(zip(*files, strict=True)) or [[], [], []]), [SCORE, CLASS])
    assert measure_decisions([one[0]], [fresh], [one[2]], [SCORE]).rows == 20


def test_figures_of_other_predictions_than_the_differences_are_refused(write: Any) -> None:
    files = shards_of(write, [20, 30])
    found = measure_decisions(*zip(*files, strict=True), [SCORE])
    measured = merged([measure_files(reference, candidate) for reference, candidate, _ in files])
    found.require_same_predictions(measured)
    for what, value in (("variant", "onnx"), ("weights_sha256", "0"), ("shards", found.shards[:1])):
        other = dataclasses.replace(
            measured, **({what: value} | ({"outputs": ()} if what == "shards" else {}))
        )
        with pytest.raises(
            StorageError, match=f"are of other {what.split('_')[0]} than the differences of model"
        ):
            found.require_same_predictions(other)


@pytest.mark.parametrize(
    ("record", "counts"),
    [
        (Separation, (1, 1, 0, 3, 0)),
        (Separation, (1, 1, -1, 0, 0)),
        (Classification, (3, 4, (), ())),
        (Classification, (3, 1, (), ())),
    ],
)
def test_counts_that_contradict_one_another_are_refused(record: Any, counts: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"than there are|are kept"):
        record(*counts)


def test_memory_of_decisions_does_not_grow_with_the_rows() -> None:
    scores = np.random.default_rng(1).random((1 << 17, 3))
    kinds = scores.argmax(axis=1).astype(np.int32)

    def read(chunks: int, columns: int) -> Iterator[Chunk]:
        for number in range(chunks):
            shown = scores[:, :columns]
            yield Chunk(
                "0", number << 17, shown, shown[::-1], np.where(kinds == 2, 5, 0) if columns == 1 else kinds
            )

    def peak(chunks: int) -> int:
        tracemalloc.start()
        try:
            points = at_working_points(read(chunks, 1), SCORE)
            classes = classification(read(chunks, 3), 3, "kind")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            assert points[0].everything.rows == classes.rows == chunks << 17
            assert classes.flipped > chunks << 16

    # The second is of 10.1 million rows.
    assert peak(77) < 1.2 * peak(8)


def test_memory_does_not_grow_with_the_rows() -> None:
    scores = np.random.default_rng(1).random((1 << 17, 1))

    def stream(chunks: int) -> Chunks:
        def read() -> Iterator[Chunk]:
            for number in range(chunks):
                found = scores + number
                yield Chunk("0", number << 17, found, found + 1e-3, (scores[:, 0] > 0.5).astype(np.float32))

        return read

    def peak(chunks: int) -> int:
        tracemalloc.start()
        try:
            area = separation(stream(chunks), None)
            both = resolution(stream(chunks))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            assert (area.shift, area.signal + area.background) == (0.0, chunks << 17)
            assert both.used == area.signal

    # The second is of 10.1 million rows.
    assert peak(77) < 1.2 * peak(16)
