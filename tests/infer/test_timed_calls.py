"""Calls that are timed, and faults in them that their check must see."""

import numpy as np
import pytest
import torch
from torch import nn

from soaflow.errors import ProofError
from soaflow.infer.backends import eager
from soaflow.infer.timed_calls import TimedCalls, tiled
from soaflow.soa.storage import EVENTS, map_blob, read_header


class Sum(nn.Module):
    def forward(self, particles):
        return particles.sum(dim=1, keepdim=True)


class Backend:
    """Does what a function does, and from one call on what a fault does."""

    def __init__(self, call, fault=None, first_wrong_call=15):
        self.call, self.fault, self.first_wrong_call = call, fault, first_wrong_call
        self.calls = 0

    def check(self, inputs):
        pass

    def run_batch(self, inputs, outputs, begin, end):
        self.calls += 1
        wrong = self.fault is not None and self.calls >= self.first_wrong_call
        (self.fault if wrong else self.call)(inputs, outputs, begin, end)
        return 0.0


def right(inputs, outputs, begin, end):
    outputs.write([inputs[0].sum(dim=1, keepdim=True)], begin, end)


def none(inputs, outputs, begin, end):
    """Store nothing: what was right before would still lie there, if it had not been spoilt."""


def last_bit(inputs, outputs, begin, end):
    values = inputs[0].sum(dim=1, keepdim=True)
    values[-1] = torch.nextafter(values[-1], torch.tensor(1e9))
    outputs.write([values], begin, end)


def rows_of_the_batch_before(inputs, outputs, begin, end):
    right([inputs[0].as_strided(inputs[0].shape, inputs[0].stride(), 0)], outputs, begin, end)


def nan(_inputs, outputs, begin, end):
    outputs.write([torch.full((end - begin, 1), float("nan"))], begin, end)


@pytest.fixture
def timed(bench, particles):
    """Makes timed calls over 50 rows of events."""
    particles(bench.events, 50)
    blobs = {"particles": map_blob(read_header(bench.events, EVENTS), "particles")}

    def make(backend, batch_size=10, name="mine", dtype="float32", **options):
        calls = TimedCalls(
            name, backend, bench.signature, blobs, dtype=dtype, batch_size=batch_size, **options
        )
        calls.first_run()
        return calls

    with torch.inference_mode():
        yield make


def test_right_calls_pass_whatever_their_number(timed):
    calls = timed(Backend(right))
    for number in (0, 1, 4, 5, 12):
        calls.spoil()
        for _ in range(number):
            calls()
        assert calls.calls_since_spoilt == number
        calls.check()


@pytest.mark.parametrize("fault", [none, last_bit, rows_of_the_batch_before, nan])
def test_a_fault_in_the_timed_calls_alone_is_seen(timed, fault):
    calls = timed(Backend(right, fault))
    calls.spoil()
    calls.run_through()
    calls.check()
    calls.spoil()
    for _ in range(2):
        calls.run_through()
    with pytest.raises(
        ProofError, match=r"item 'energy' of 'mine' at 10 rows a call has other bits .*\(row \d+\)"
    ):
        calls.check()


def test_rows_that_no_call_wrote_are_not_compared(timed):
    calls = timed(Backend(right, none, first_wrong_call=9))  # two to warm up, five of the first run, one
    calls.spoil()
    calls()
    calls.check()
    calls()
    with pytest.raises(ProofError, match=r"\(row 10\)"):
        calls.check()


def test_a_model_that_never_stores_is_seen(timed):
    calls = timed(Backend(none))
    calls.spoil()
    calls.run_through()
    with pytest.raises(ProofError, match="other bits"):
        calls.check()


def test_another_computation_is_told_from_a_rounding(timed):
    class Half(nn.Module):
        def forward(self, particles):
            return particles[:, :1] + particles[:, 1:2]

    base = timed(eager(Sum(), "float32"), name="base")
    timed(eager(Sum(), "float64"), dtype="float64").check_against(base)
    timed(eager(Sum(), "float16"), dtype="float16").check_against(base)
    with pytest.raises(ProofError, match=r"'energy' of 'mine' .* is .* in row 0 where the first one has"):
        timed(eager(Half(), "float32")).check_against(base)


def test_batches_are_called_in_turn_and_the_short_one_never(timed):
    begins = []
    calls = timed(
        Backend(lambda i, o, begin, end: begins.append((begin, end)) or right(i, o, begin, end)), 20
    )
    begins.clear()
    calls.spoil()
    for _ in range(3):
        calls()
    assert begins == [(0, 20), (20, 40), (0, 20)]
    assert timed(Backend(right), 1, most_batches=7).batches == 7
    assert timed(Backend(right), 50).batches == 1


def test_rows_are_repeated(particles, tmp_path):
    particles(tmp_path / "events.h5", 7)
    blob = map_blob(read_header(tmp_path / "events.h5", EVENTS), "particles")
    made = tiled(blob, 19)
    assert made.placement.rows == 19
    assert made.placement.layout == blob.placement.layout
    for name in blob.placement.layout.names:
        source, repeated = blob.array(name), made.array(name)
        if source.ndim == 0:
            assert np.array_equal(source, repeated)
        else:
            assert np.array_equal(repeated, np.concatenate([source, source, source[:5]]))
