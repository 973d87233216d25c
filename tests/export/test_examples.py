import pytest
import torch

from soaflow.export.examples import CallShape, Values, example_inputs, shapes_to_check, tracing_shape
from soaflow.soa.calls import check_inputs
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import BATCH_BEGIN_LAYOUT, RowRange, Signature, TensorInput, TensorOutput

TRACKS = Layout.of(
    Item("pt", "float32"), Item("eta", "float32"), Item("quality", "int32"), Item("good", "bool")
)
HITS = Layout.of(
    Item("p", "float64", ItemKind.EIGEN, (2, 3)),
    Item("q", "float64", ItemKind.EIGEN, (2, 3)),
    Item("track", "int32"),
    Item("scale", "float32", ItemKind.SCALAR),
)
SIGNATURE = Signature(
    (
        TensorInput("tracks", "tracks", TRACKS, ("pt", "eta")),
        TensorInput("quality", "tracks", TRACKS, ("quality",)),
        TensorInput("good", "tracks", TRACKS, ("good",)),
        TensorInput("hits", "hits", HITS, ("p", "q"), RowRange.WHOLE),
        TensorInput("track", "hits", HITS, ("track",), RowRange.WHOLE),
        TensorInput("scale", "hits", HITS, ("scale",), RowRange.WHOLE),
        TensorInput("begin", "", BATCH_BEGIN_LAYOUT, ("batch_begin",), RowRange.BATCH_BEGIN),
    ),
    (TensorOutput("y", ("y",)),),
    Layout.of(Item("y", "float32")),
)


@pytest.mark.parametrize("shape", [*shapes_to_check(), tracing_shape(SIGNATURE)], ids=str)
def test_examples_hold_the_contract_and_are_no_views(shape):
    inputs = example_inputs(SIGNATURE, shape, seed=3)
    check_inputs(SIGNATURE, inputs)
    assert not any(tensor._is_view() for tensor in inputs)
    assert len(inputs[0]) == shape.rows
    assert len(inputs[3]) == shape.whole_rows


def test_strides_and_values():
    inputs = example_inputs(SIGNATURE, CallShape(7, 64, 5, 9, 33), seed=3)
    tracks, quality, good, hits, track, scale, begin = inputs
    assert tracks.stride() == (1, 64)
    assert hits.stride() == (1, 6 * 48, 48, 2 * 48)
    assert scale.stride() == (0, 1)
    assert len(scale.unique()) == 1
    assert 0.1 <= tracks.min() < tracks.max() <= 2
    assert set(quality.unique().tolist()) <= {0, 1}
    assert good.dtype == torch.bool
    assert 0 <= track.min() <= track.max() < 5 + 7
    assert begin.tolist() == [[5]]


def test_the_same_seed_gives_the_same_values():
    shape = CallShape(7, 64)
    first, again, other = (example_inputs(SIGNATURE, shape, seed) for seed in (3, 3, 4))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_signed_values_and_larger_integers():
    values = Values(largest=100.0, signed=True, integers=12)
    tracks, quality, good, hits, track, *_ = example_inputs(
        SIGNATURE, CallShape(300, 303, 3, 200, 200), 3, values
    )
    for floats in (tracks, hits):
        assert -100 <= floats.min() < -50
        assert 50 < floats.max() <= 100
        assert 0.3 < (floats < 0).double().mean() < 0.7
    assert set(quality.unique().tolist()) == set(range(12))
    assert good.unique().tolist() == [False, True]
    assert 0 <= track.min() <= track.max() < 3 + 300


def test_integers_stay_in_their_dtype():
    layout = Layout.of(Item("index", "int8"))
    signature = Signature(
        (*SIGNATURE.inputs[:1], TensorInput("i", "c", layout, ("index",), RowRange.WHOLE)),
        SIGNATURE.outputs,
        SIGNATURE.output_layout,
    )
    index = example_inputs(signature, CallShape(300, 303, 3, 300, 300), 3)[1]
    assert 0 <= index.min() < index.max() < 127


def test_each_dtype_and_each_whole_collection_has_its_own_stride():
    other = TensorInput("cells", "cells", HITS, ("p", "q"), RowRange.WHOLE)
    tracks_again = TensorInput("all_tracks", "tracks", TRACKS, ("pt", "eta"), RowRange.WHOLE)
    signature = Signature(
        (*SIGNATURE.inputs, other, tracks_again), SIGNATURE.outputs, SIGNATURE.output_layout
    )
    inputs = example_inputs(signature, CallShape(7, 33, 5, 40, 64), 3)
    check_inputs(signature, inputs)
    hits, cells, all_tracks = inputs[3], inputs[7], inputs[8]
    assert (len(hits), hits.stride(2)) == (40, 64)
    assert (len(cells), cells.stride(2)) == (80, 256)
    assert inputs[0].stride() == (1, 64)
    assert (len(all_tracks), all_tracks.stride()) == (33, (1, 64))


def test_tracing_sizes_are_unlike_each_other_and_the_models():
    layout = Layout.of(*(Item(f"c{i}", "float32") for i in range(37)))
    signature = Signature(
        (TensorInput("x", "c", layout, layout.names),), SIGNATURE.outputs, SIGNATURE.output_layout
    )
    shape = tracing_shape(signature)
    sizes = {shape.rows, shape.whole_rows, shape.capacity, shape.whole_capacity, 37}
    assert len(sizes) == 5
    assert shape.capacity % shape.rows
    assert shape.capacity >= shape.rows
