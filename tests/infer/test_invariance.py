"""Rows in batches of several sizes, and run again: what is planted in a model is what is found."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

from soaflow.errors import ConfigError, ModelError, ProofError, StorageError
from soaflow.files import sha256_of_file
from soaflow.infer.backends import aot, eager
from soaflow.infer.invariance import measure_invariance
from soaflow.infer.variants import Backend, Variant
from soaflow.invariance import read_invariance
from soaflow.soa.layout import Item, Layout
from soaflow.soa.signature import BATCH_BEGIN_LAYOUT, RowRange, Signature, TensorInput, TensorOutput
from soaflow.soa.storage import EVENTS, writing

ROWS, SIZES = 130, (1, 7, 64, 100)
EAGER = Variant("plain", Backend.EAGER)


class Planted(nn.Module):
    """`pt`, shape [B, 1], and a fault that is a function of the model, the output and its batch's rows."""

    def __init__(self, fault=lambda _model, output: output):
        super().__init__()
        self.fault = fault
        self.calls = 0

    def forward(self, particles):
        self.calls += 1
        return self.fault(self, particles[:, :1] * 1.0)


@pytest.fixture
def measure(bench, particles):
    particles(bench.events, ROWS + 50)

    def run(model=None, *, variant=EAGER, rows=ROWS, calls=1000, sizes=SIZES, **options):
        return measure_invariance(
            options.pop("load", lambda: eager(model or Planted(), variant.dtype)),
            options.pop("signature", bench.signature),
            options.pop("events", bench.events),
            bench.folder / "invariance.json",
            variant=variant,
            rows=rows,
            calls=calls,
            batch_sizes=sizes,
            model="M",
            made_from={"weights_sha256": "5" * 64},
        )

    return run


def differing(found):
    """The batch sizes at which a bit differs, and whether one differs when run again."""
    sizes = [batches.size for batches in found.batches if not batches.outputs[0].sameness.same_bits]
    return sizes, not found.rerun[0].sameness.same_bits


def test_a_model_without_a_fault_gives_the_same_bits(measure, bench):
    found = measure()
    assert differing(found) == ([], False)
    assert (found.dataset, found.model, found.variant, found.rows) == ("toy", "M", "plain", ROWS)
    assert (found.weights_sha256, found.events_sha256) == ("5" * 64, "")
    assert [batches.size for batches in found.batches] == list(SIZES)
    assert all(batches.outputs[0].sameness.rows == ROWS for batches in found.batches)
    assert read_invariance(bench.folder / "invariance.json") == found


def test_a_row_taken_from_its_neighbour_in_the_batch_is_found(measure, bench):
    found = measure(Planted(lambda _, output: output.roll(1, 0)))
    assert differing(found) == ([*SIZES], False)
    pt = bench.events_column("pt")[:ROWS]
    # All rows in one call begin with the last row, and batches of 64 with the 64th, the 128th and the 130th.
    of_64 = found.batches[2].outputs[0].sameness
    assert (of_64.rows_differing, of_64.first_differing) == (3, ("", 0))
    expected = abs(pt[[63, 127, 129]].astype(float) - pt[[129, 63, 127]].astype(float)).max()
    assert of_64.largest_absolute == expected
    # In batches of one row no row has a neighbour.
    assert found.batches[0].outputs[0].sameness.rows_differing == ROWS


def test_a_result_that_depends_on_the_number_of_rows_is_found(measure):
    """The mean over the batch, as of a batch normalisation that is left in training."""
    found = measure(Planted(lambda _, output: output - output.mean()))
    assert differing(found) == ([*SIZES], False)


def test_a_fault_of_one_batch_size_is_found_there_alone(measure):
    found = measure(Planted(lambda _, output: output + 1e-6 * (len(output) == 64)))
    assert differing(found) == ([64], False)
    assert "run again: same bits; batches of 1: same bits" in found.describe()
    assert "batches of 64: up to" in found.describe()
    of_64 = found.batches[2].outputs[0].sameness
    assert of_64.rows_differing <= 128
    assert 0 < of_64.largest_absolute < 2e-6
    assert of_64.largest_ulp >= 8


def test_noise_is_found_by_the_rerun(measure):
    """Dropout that is left on."""
    torch.manual_seed(1)
    found = measure(Planted(lambda _, output: nn.functional.dropout(output, 0.1, training=True)), sizes=())
    assert differing(found) == ([], True)
    assert 1 <= found.rerun[0].sameness.rows_differing < ROWS


def test_a_model_that_remembers_its_calls_is_found_by_the_rerun(measure):
    found = measure(Planted(lambda model, output: output + model.calls), sizes=())
    assert differing(found) == ([], True)
    # Two calls to warm up, and the run itself; the sums are rounded.
    assert found.rerun[0].sameness.largest_absolute == pytest.approx(3, rel=1e-6)


def test_nan_in_one_run_alone_is_a_mismatch(measure):
    found = measure(Planted(lambda model, output: output + (torch.nan if model.calls > 3 else 0.0)), sizes=())
    again = found.rerun[0].sameness
    assert (again.rows_differing, again.mismatches, again.largest_absolute) == (ROWS, ROWS, 0.0)


def test_the_model_is_loaded_once_and_sees_the_first_rows_alone(measure):
    seen, loaded = [], []

    def load():
        loaded.append(True)
        return eager(Planted(lambda _, output: (seen.append(len(output)), output)[1]), "float32")

    assert measure(load=load, rows=10, sizes=(3, 64)).rows == 10
    assert loaded == [True]
    assert max(seen) == 10
    # Each run is two calls to warm up, then its batches.
    assert seen == [10] * 3 + [3] * 2 + [3, 3, 3, 1] + [10] * 3 + [10] * 3


def test_of_small_batches_fewer_rows_are_run(measure):
    found = measure(Planted(lambda _, output: output.roll(1, 0)), calls=5)
    rows = [batches.outputs[0].sameness.rows for batches in found.batches]
    assert (rows, found.rerun[0].sameness.rows) == ([5, 35, ROWS, ROWS], ROWS)
    # The first row of each batch and of the one call differ, as far as they were run.
    assert found.batches[1].outputs[0].sameness.rows_differing == 5


@pytest.mark.parametrize("stored", [3, 0])
def test_fewer_rows_than_asked_for_are_all_run(measure, particles, tmp_path, stored):
    particles(tmp_path / "few.h5", stored)
    found = measure(events=tmp_path / "few.h5")
    assert found.rows == stored
    assert differing(found) == ([], False)


def test_collections_that_are_read_whole_stay_whole_and_beginnings_are_those_of_the_batches(
    measure, tmp_path
):
    tracks, hits = (Layout.of(Item(name, "float32")) for name in ("pt", "x"))
    with writing(
        tmp_path / "tracks.h5", EVENTS, {"tracks": tracks.place(50), "hits": hits.place(20)}, {}
    ) as writer:
        writer.write("tracks", "pt", np.arange(50, dtype=np.float32))
        writer.write("hits", "x", np.arange(20, dtype=np.float32))
    signature = Signature(
        (
            TensorInput("tracks", "tracks", tracks, ("pt",)),
            TensorInput("hits", "hits", hits, ("x",), RowRange.WHOLE),
            TensorInput("begin", "", BATCH_BEGIN_LAYOUT, BATCH_BEGIN_LAYOUT.names, RowRange.BATCH_BEGIN),
        ),
        (TensorOutput("number", ("number",)),),
        Layout.of(Item("number", "float32")),
    )

    class Numbered(nn.Module):
        def __init__(self, wrong=0):
            super().__init__()
            self.wrong = wrong

        def forward(self, tracks, hits, begin):
            return begin.float() * (1 - self.wrong) + torch.arange(len(tracks))[:, None] + hits.sum()

    options = {"signature": signature, "events": tmp_path / "tracks.h5", "rows": 30, "sizes": (7,)}
    assert differing(measure(Numbered(), **options)) == ([], False)
    assert differing(measure(Numbered(wrong=1), **options)) == ([7], False)


def test_what_is_computed_in_float64_is_compared_unrounded(measure):
    variant = Variant("double", Backend.EAGER, dtype="float64")
    found = measure(Planted(lambda _, output: output + 1e-12 * (len(output) == 7)), variant=variant)
    assert differing(found)[0] == [7]
    assert found.batches[1].outputs[0].sameness.largest_absolute < 2e-12


def test_the_file_repeats_to_the_byte(measure, bench):
    measure()
    first = sha256_of_file(bench.folder / "invariance.json")
    measure()
    assert sha256_of_file(bench.folder / "invariance.json") == first


# The checks of a job


def test_a_copy_on_the_way_to_the_model_is_an_error_and_leaves_no_file(measure, bench):
    def load():
        backend = eager(Planted(), "float32")
        backend.run = lambda inputs: backend.program(*[tensor.clone() for tensor in inputs])
        return backend

    with pytest.raises(ProofError, match="something copied them on the way in"):
        measure(load=load)
    assert not (bench.folder / "invariance.json").exists()


def test_a_second_thread_is_an_error(measure, bench):
    stop = threading.Event()

    def threaded(model, output):
        if model.calls == 1:
            threading.Thread(target=stop.wait, daemon=True).start()
        return output

    try:
        with pytest.raises(ProofError, match="2 threads were seen"):
            measure(Planted(threaded))
    finally:
        stop.set()
    assert not (bench.folder / "invariance.json").exists()


def test_mistakes_are_sentences(measure, bench):
    with pytest.raises(ConfigError, match="give numbers from 1"):
        measure(sizes=(0,))
    with pytest.raises(
        ModelError, match=r"model M, variant plain, .*events.h5: the model fails on rows 0 to 7"
    ):
        measure(Planted(lambda _, output: output.reshape(10, -1) if len(output) == 7 else output))
    (bench.folder / "invariance.json").write_text('{"invariance_version": 2}')
    with pytest.raises(StorageError, match="its invariance_version is 2 and not 1: measure the invariance"):
        read_invariance(bench.folder / "invariance.json")


@pytest.mark.compile
def test_an_artifact_that_stores_its_outputs_is_measured(measure, bench, v3_file):
    variant = Variant("aot", Backend.AOT, "x86-64-v3")
    found = measure(load=lambda: aot(v3_file, bench.signature), variant=variant)
    assert differing(found)[1] is False
