import pytest
import torch

from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.outputs import UNTOUCHED, OutputBlob
from soaflow.soa.signature import Signature, TensorInput, TensorOutput

PARTICLES = Layout.of(Item("pt", "float32"))
LAYOUT = Layout.of(Item("energy", "float32"), Item("shape", "float64", ItemKind.EIGEN, (2, 3)))
SIGNATURE = Signature(
    (TensorInput("pt", "particles", PARTICLES, ("pt",)),),
    (TensorOutput("energy", ("energy",)), TensorOutput("shape", ("shape",))),
    LAYOUT,
)


def test_the_views_are_those_of_the_layout():
    stored = OutputBlob(SIGNATURE, 40)
    energy, shape = stored.rows(5, 12)
    assert (tuple(energy.shape), energy.stride()) == ((7, 1), (1, 64))
    assert (tuple(shape.shape), shape.stride()) == ((7, 2, 3), (1, 48, 96))
    assert energy.isnan().all()
    assert energy.data_ptr() == stored.blob.data_ptr() + 5 * 4
    assert set(stored.blob.tolist()) == {UNTOUCHED}


def test_what_is_stored_elsewhere_is_seen():
    stored = OutputBlob(SIGNATURE, 40)
    for tensor in stored.rows(5, 12):
        tensor.fill_(1.5)
    assert stored.untouched_but(5, 12)
    assert not stored.untouched_but(5, 11)
    assert not stored.untouched_but(6, 12)
    for place in range(0, len(stored.blob), 7):
        before = int(stored.blob[place])
        if before == UNTOUCHED:
            stored.blob[place] = 0
            assert not stored.untouched_but(5, 12), place
            stored.blob[place] = before
    assert stored.untouched_but(5, 12)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.0])
def test_special_values_are_no_trace_elsewhere(value):
    stored = OutputBlob(SIGNATURE, 8)
    for tensor in stored.rows(0, 8):
        tensor.fill_(value)
    assert stored.untouched_but(0, 8)


def test_no_rows():
    stored = OutputBlob(SIGNATURE, 0)
    assert [len(tensor) for tensor in stored.rows(0, 0)] == [0, 0]
    assert stored.untouched_but(0, 0)
    assert stored.blob.dtype == torch.uint8
