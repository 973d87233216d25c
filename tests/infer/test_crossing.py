"""Calls that take their rows to a device and bring the outputs back; the CPU stands for the device."""

import numpy as np
import pytest
import torch
from torch import nn

from soaflow.infer import crossing
from soaflow.infer.backends import StoringBackend, eager
from soaflow.infer.crossing import CrossingBackend, moved_rows
from soaflow.infer.tensors import Outputs, input_tensors
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.mapping import blob_in_memory
from soaflow.soa.signature import RowRange, Signature, TensorInput, TensorOutput
from soaflow.soa.tensor_library import torch_library
from soaflow.soa.tensors import view
from soaflow.soa.views import plan_view

ROWS = 300
SHAPES = {
    "columns": ((Item("a", "float32"), Item("b", "float32")), ("a", "b")),
    "one column": ((Item("a", "float64"), Item("b", "float64")), ("b",)),
    "vector": ((Item("v", "uint8", ItemKind.EIGEN, (3,)),), ("v",)),
    "vectors": (
        (Item("v", "int32", ItemKind.EIGEN, (3,)), Item("w", "int32", ItemKind.EIGEN, (3,))),
        ("v", "w"),
    ),
    "matrices": (
        (Item("m", "float32", ItemKind.EIGEN, (2, 5)), Item("n", "float32", ItemKind.EIGEN, (2, 5))),
        ("m", "n"),
    ),
    "one of one": ((Item("m", "float32", ItemKind.EIGEN, (1, 1)),), ("m",)),
    "scalar": ((Item("s", "float32", ItemKind.SCALAR),), ("s",)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("begin", "end"), [(0, ROWS), (33, 34), (7, 90), (5, 5)])
def test_rows_that_are_moved_are_the_rows_with_planes_at_their_distance(shape, begin, end):
    items, names = SHAPES[shape]
    placement = Layout.of(*items).place(ROWS)
    blob = torch.from_numpy(np.random.default_rng(1).integers(0, 100, placement.blob_bytes, np.uint8))
    tensor = view(blob, plan_view(placement, names)).narrow(0, begin, end - begin)
    moved = moved_rows(tensor, "cpu")
    assert moved.dtype == tensor.dtype
    assert torch.equal(moved, tensor)
    assert moved.shape == tensor.shape
    assert moved.stride(0) == tensor.stride(0)
    assert moved.untyped_storage().nbytes() <= 128 * -(-(end - begin) * 8 // 128) * 20
    if end > begin:
        assert moved.data_ptr() != tensor.data_ptr()


TRACKS = Layout.of(Item("pt", "float32"), Item("eta", "float32"))
HITS = Layout.of(Item("x", "float32"))
SIGNATURE = Signature(
    (
        TensorInput("tracks", "tracks", TRACKS, ("pt", "eta")),
        TensorInput("hits", "hits", HITS, ("x",), RowRange.WHOLE),
    ),
    (TensorOutput("y", ("y",)),),
    Layout.of(Item("y", "float32", ItemKind.EIGEN, (2,))),
)


class Net(nn.Module):
    def forward(self, tracks, hits):
        return tracks * 2 + hits.sum()


def storing(tracks_hits_output):
    tracks, hits, output = tracks_hits_output
    output.copy_(Net()(tracks, hits))


@pytest.fixture(params=["returned", "stored"])
def backend(request):
    if request.param == "returned":
        return eager(Net(), "float32")
    return StoringBackend(storing, lambda _: None, "", SIGNATURE)


def filled():
    blobs = {"tracks": blob_in_memory(TRACKS.place(ROWS)), "hits": blob_in_memory(HITS.place(17))}
    random = np.random.default_rng(2)
    for blob in blobs.values():
        for item in blob.placement.layout.names:
            blob.array(item)[...] = random.random(blob.placement.rows)
    return blobs


def predicted(backend, batch_size=64):
    blobs, written = filled(), blob_in_memory(SIGNATURE.output_layout.place(ROWS))
    inputs = input_tensors(SIGNATURE, blobs, batch_size, torch_library())
    outputs = Outputs.mapped(SIGNATURE, written, torch_library())
    for index, begin in enumerate(range(0, ROWS, batch_size)):
        end = min(begin + batch_size, ROWS)
        backend.run_batch([tensor.batch(index, begin, end) for tensor in inputs], outputs, begin, end)
    return np.array(written.by_row("y"))


def test_the_outputs_are_those_of_the_backend_itself(backend):
    found = predicted(CrossingBackend(backend, SIGNATURE, "cpu"))
    np.testing.assert_array_equal(found, predicted(backend))
    assert found.std() > 0


def test_what_is_seen_as_a_whole_goes_over_once(monkeypatch):
    moved = []
    monkeypatch.setattr(crossing, "moved_rows", lambda tensor, _: moved.append(len(tensor)) or tensor)
    predicted(CrossingBackend(eager(Net(), "float32"), SIGNATURE, "cpu"), batch_size=100)
    assert moved == [100, 17, 100, 100]


def test_rows_of_another_place_are_seen(backend, monkeypatch):
    """The planted fault: what is moved is one row beside what was asked for."""
    right = crossing.moved_rows
    monkeypatch.setattr(crossing, "moved_rows", lambda tensor, device: right(tensor, device).roll(1, 0))
    assert (predicted(CrossingBackend(backend, SIGNATURE, "cpu")) != predicted(backend)).any()
