"""Events files as training data."""

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soaflow.errors import StorageError, TrainingError
from soaflow.soa.layout import Item, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
from soaflow.train.data import epoch_ranges, one_sided_targets, open_training_file, training_variance

LINEAR = ("out", "linear", "squared_error")


@given(st.integers(0, 50), st.integers(0, 200), st.integers(1, 60), st.integers(0, 99))
def test_ranges_cover_each_row_once(begin, rows, batch_size, seed) -> None:
    ranges = epoch_ranges((begin, begin + rows), batch_size, np.random.default_rng(seed))
    assert [row for first, end in ranges for row in range(first, end)] == list(range(begin, begin + rows))
    lengths = [end - first for first, end in ranges]
    assert all(0 < length <= batch_size for length in lengths)
    assert all(length == batch_size for length in lengths[1:-1])
    if rows > batch_size:
        assert min(lengths) >= batch_size // 4
        assert len(lengths) <= rows // batch_size + 1


def test_other_rows_come_together_in_each_epoch() -> None:
    generator = np.random.default_rng(1)
    for rows in (90, 128, 130):
        assert len({epoch_ranges((0, rows), 64, generator)[0] for _ in range(40)}) > 10


@pytest.mark.parametrize(
    ("rows", "fraction", "training"),
    [(0, 0.2, 0), (1, 0.2, 1), (4, 0.2, 4), (5, 0.2, 4), (500, 0.2, 400), (7, 0, 7), (3, 0.99, 1)],
)
def test_number_of_training_rows(
    make_events, make_signature, make_settings, rows, fraction, training
) -> None:
    settings = make_settings(LINEAR, validation_fraction=fraction)
    split = open_training_file(make_events(rows), make_signature(out=1), settings).split
    assert (split.training_rows, split.validation_rows) == (training, rows - training)


def sentences(files, settings):
    return one_sided_targets(files, settings.targets)


@pytest.mark.parametrize(
    ("target", "item"),
    [(("one", "side", "binary_cross_entropy", 5), "side"), (("three", "kind", "cross_entropy"), "kind")],
)
def test_classes_on_one_side_only_are_told(make_events, make_signature, make_settings, target, item) -> None:
    signature, settings = make_signature(one=1, three=3), make_settings(target)
    classes = (4, 5) if item == "side" else (0, 2)

    def told(*values: np.ndarray) -> list[str]:
        paths = [make_events(len(v), f"{i}.h5", **{item: v}) for i, v in enumerate(values)]
        return sentences([open_training_file(path, signature, settings) for path in paths], settings)

    halves = np.repeat(classes, 50)
    assert told(halves) == []
    assert told(halves[:50]) == []
    assert told(halves[:50], halves[50:]) == []
    needle = np.full(100, classes[0])
    needle[3] = classes[1]
    (sentence,) = told(needle)
    assert f"the validation rows have one class only of item 'jets/{item}'" in sentence
    needle = np.full(100, classes[0])
    needle[-1] = classes[1]
    (sentence,) = told(needle)
    assert "the training rows have one class only" in sentence
    assert told(needle, halves) == []


def test_a_regression_has_no_classes(make_events, make_signature, make_settings) -> None:
    settings = make_settings(LINEAR)
    linear = np.zeros(100)
    linear[0] = 1
    file = open_training_file(make_events(100, linear=linear), make_signature(out=1), settings)
    assert sentences([file], settings) == []


def test_batches_are_views_of_the_file(make_events, make_signature, make_settings) -> None:
    path = make_events(40)
    file = open_training_file(
        path, make_signature(out=1, two=2), make_settings(LINEAR, ("two", "pair", "squared_error"))
    )
    (xy,), (linear, pair) = file.batch(5, 12)
    with h5py.File(path) as stored:
        np.testing.assert_array_equal(xy.T, [stored["jets/x"][5:12], stored["jets/y"][5:12]])
        np.testing.assert_array_equal(linear[:, 0], stored["jets/linear"][5:12])
        np.testing.assert_array_equal(pair.T, stored["jets/pair"][:, 5:12])
    for batch, whole in ((xy, file.inputs[0]), (linear, file.targets[0]), (pair, file.targets[1])):
        assert batch.data_ptr() == whole.data_ptr() + 5 * batch.element_size()
    assert xy.stride() == (1, 64)


def test_whole_inputs_and_the_first_row(make_events, set_signature, make_settings) -> None:
    file = open_training_file(make_events(40), set_signature, make_settings(LINEAR))
    (xy, common, weight, jet, begin), (target,) = file.batch(30, 33)
    assert [tuple(t.shape) for t in (xy, common, weight, jet, target)] == [
        (3, 2),
        (3, 1),
        (80, 1),
        (80, 1),
        (3, 1),
    ]
    assert common.tolist() == [[2.0]] * 3
    assert torch.equal(begin, torch.tensor([[30]], dtype=torch.int32))
    assert begin.dtype == torch.int32


def test_training_does_not_write_to_the_file(make_events, make_signature, make_settings) -> None:
    path = make_events(40)
    before = path.read_bytes()
    file = open_training_file(path, make_signature(out=1), make_settings(LINEAR))
    file.inputs[0].zero_()
    assert path.read_bytes() == before


def test_variance_of_the_training_rows_of_all_files(make_events, make_signature, make_settings) -> None:
    signature, settings = make_signature(out=1), make_settings(LINEAR)
    paths = [make_events(101, "a.h5", 1), make_events(50, "b.h5", 2), make_events(0, "c.h5")]
    files = [open_training_file(path, signature, settings) for path in paths]
    rows = np.concatenate(
        [f.targets[0][b:e, 0].numpy().astype(np.float64) for f in files for b, e in f.split.training]
    )
    assert len(rows) == 81 + 40
    assert training_variance(files, 0) == pytest.approx(rows.var(), rel=1e-12)
    assert training_variance(files[2:], 0) == 1.0


def test_variance_of_a_constant_and_far_from_zero(make_events, make_signature, make_settings) -> None:
    signature, settings = make_signature(out=1), make_settings(LINEAR)
    constant = open_training_file(make_events(10, linear=np.full(10, 7.0)), signature, settings)
    assert training_variance([constant], 0) == 1.0
    far = open_training_file(make_events(10, linear=1e6 + np.arange(10)), signature, settings)
    assert training_variance([far], 0) == pytest.approx(np.delete(np.arange(10), [4, 9]).var(), rel=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("item", ["y", "linear"])
@pytest.mark.parametrize("row", [0, 17, 39])
def test_nan_and_infinity_name_file_item_and_row(
    make_events, make_signature, make_settings, item, value, row
) -> None:
    values = np.zeros(40)
    values[row] = value
    path = make_events(40, **{item: values})
    with pytest.raises(
        TrainingError, match=rf"events\.h5: item 'jets/{item}' is NaN or infinite in row {row}:"
    ):
        open_training_file(path, make_signature(out=1), make_settings(LINEAR))


@pytest.mark.parametrize(
    ("item", "values"), [("weight", np.full(80, np.nan)), ("common", np.inf)], ids=["whole", "scalar"]
)
def test_nan_in_other_inputs(make_events, set_signature, make_settings, item, values) -> None:
    path = make_events(40, **{item: values})
    with pytest.raises(TrainingError, match=f"/{item}' is NaN or infinite"):
        open_training_file(path, set_signature, make_settings(LINEAR))


def test_nan_in_an_item_that_is_not_used_is_no_fault(make_events, make_signature, make_settings) -> None:
    path = make_events(40, pair=np.full((40, 2), np.nan))
    open_training_file(path, make_signature(out=1), make_settings(LINEAR))
    with pytest.raises(TrainingError, match="'jets/pair' is NaN or infinite in row 0"):
        open_training_file(path, make_signature(two=2), make_settings(("two", "pair", "squared_error")))


@pytest.mark.parametrize(
    ("target", "changes", "sentence"),
    [
        (
            ("three", "kind", "cross_entropy"),
            {"kind": np.full(4, 3)},
            "values from 3 to 3, and cross_entropy .* 0 to 2",
        ),
        (("three", "kind", "cross_entropy"), {"kind": np.array([0, 1, -1, 2])}, "values from -1 to 2"),
        (
            ("one", "side", "binary_cross_entropy"),
            {},
            "values from [45] to [45], and binary_cross_entropy .* 0 to 1",
        ),
        (
            ("one", "fraction", "binary_cross_entropy"),
            {"fraction": np.full(4, 1.5)},
            "values from 1.5 to 1.5",
        ),
    ],
)
def test_a_target_out_of_its_losss_range(
    make_events, make_signature, make_settings, target, changes, sentence
) -> None:
    with pytest.raises(TrainingError, match=rf"events\.h5: item 'jets/{target[1]}' has {sentence}"):
        open_training_file(make_events(4, **changes), make_signature(one=1, three=3), make_settings(target))


def test_another_layout_is_refused(make_events, make_settings) -> None:
    layout = Layout.of(Item("x", "float32"), Item("y", "float32"), Item("linear", "float32"))
    signature = Signature(
        (TensorInput("xy", "jets", layout, ("x", "y")),),
        (TensorOutput("out", ("out",)),),
        Layout.of(Item("out", "float32")),
    )
    with pytest.raises(TrainingError, match=r"events\.h5: collection 'jets' has another layout"):
        open_training_file(make_events(), signature, make_settings(LINEAR))


def test_a_file_that_is_no_events_file(tmp_path, make_signature, make_settings) -> None:
    (tmp_path / "e.h5").write_text("text")
    with pytest.raises(StorageError, match=r"e\.h5"):
        open_training_file(tmp_path / "e.h5", make_signature(out=1), make_settings(LINEAR))
