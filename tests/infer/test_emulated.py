"""Runs on emulated CPUs. Each takes 15 to 25 s, so there are three of them."""

import importlib.metadata
import shutil

import numpy as np
import pytest
import torch

from soaflow.errors import ArtifactError, OutputError, PortabilityError, StorageError
from soaflow.files import sha256_of_file
from soaflow.infer import backends, emulated, unproven
from soaflow.infer.emulated import EMULATED_CPUS, EMULATOR, run_emulated
from soaflow.infer.unproven import BATCH_ROWS, ROWS, predict
from soaflow.infer.variants import Backend, Variant
from soaflow.models.track_hit_deep_set import TrackHitDeepSet
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import BATCH_BEGIN_LAYOUT, RowRange, Signature, TensorInput, TensorOutput
from soaflow.soa.storage import EVENTS, PREDICTIONS, map_blob, read_header, writing
from soaflow.targets import CPU_TARGETS, find_target

pytestmark = pytest.mark.compile

HASWELL = EMULATED_CPUS["x86-64-v3"]

needs_emulator = pytest.mark.skipif(shutil.which(EMULATOR) is None, reason=f"there is no {EMULATOR}")


@pytest.fixture
def written(tmp_path):
    return tmp_path / "unproven" / "predictions.h5"


def values(path, name="energy"):
    return np.array(map_blob(read_header(path, PREDICTIONS), "predictions").array(name))


def job(bench, artifact, batch_size=BATCH_ROWS):
    variant = Variant("aot", Backend.AOT, "x86-64-v3", batch_size=batch_size)
    bench.run(load=lambda: backends.aot(artifact, bench.signature), variant=variant)


def test_every_level_below_the_highest_has_a_cpu():
    levels = {name for name in CPU_TARGETS if (level := find_target(name).level) and level < 4}
    assert set(EMULATED_CPUS) == levels


# Without an emulator: the same process on this CPU


@pytest.mark.parametrize("rows", [0, 1, BATCH_ROWS, ROWS, ROWS + 57])
def test_the_predictions_are_those_of_a_job_to_the_bit(bench, particles, v3_file, written, rows):
    particles(bench.events, rows)
    predict(v3_file, bench.events, written)
    job(bench, v3_file)
    assert np.array_equal(values(written), bench.written()[:ROWS])
    assert len(values(written)) == min(rows, ROWS)
    attributes = read_header(written, PREDICTIONS).attributes
    assert attributes == {
        "dataset": "toy",
        "model": "Weighted",
        "variant": "x86_64_v3_balanced",
        "computing_dtype": "float32",
        "torch_version": importlib.metadata.version("torch"),
        "particles_layout_sha256": bench.signature.inputs[0].layout.digest(),
    }


def test_views_of_the_map_reach_the_artifact(bench, particles, v3_file, written, monkeypatch):
    seen = []
    aot = backends.aot

    def watched(*given, **options):
        backend = aot(*given, **options)
        program = backend.program

        def seeing(tensors):
            (first, *_) = tensors
            seen.append((first.shape, first.stride(), first.data_ptr()))
            return program(tensors)

        backend.program = seeing
        return backend

    monkeypatch.setattr(unproven.backends, "aot", watched)
    particles(bench.events, ROWS)
    predict(v3_file, bench.events, written)
    shapes, strides, addresses = zip(*seen, strict=True)
    assert shapes == ((200, 3), (200, 3), (100, 3))
    assert set(strides) == {(1, 512)}
    assert [address - addresses[0] for address in addresses] == [0, 4 * 200, 4 * 400]


TRACKS = Layout.of(*(Item(name, "float32") for name in ("pt", "eta", "phi")))
HITS = Layout.of(
    *(Item(name, "float32") for name in ("x", "y", "z")),
    Item("scale", "float32", ItemKind.SCALAR),
    Item("track", "int32"),
)
SET_SIGNATURE = Signature(
    (
        TensorInput("tracks", "tracks", TRACKS, TRACKS.names),
        TensorInput("hits", "hits", HITS, ("x", "y", "z"), RowRange.WHOLE),
        TensorInput("hit_scale", "hits", HITS, ("scale",), RowRange.WHOLE),
        TensorInput("hit_to_track", "hits", HITS, ("track",), RowRange.WHOLE),
        TensorInput("track_begin", "", BATCH_BEGIN_LAYOUT, ("batch_begin",), RowRange.BATCH_BEGIN),
    ),
    (TensorOutput("energy", ("energy",)),),
    Layout.of(Item("energy", "float32")),
)


@pytest.fixture(scope="session")
def set_file(export_and_compile):
    torch.manual_seed(5)
    return export_and_compile(TrackHitDeepSet(), SET_SIGNATURE, "x86-64-v3")


def test_whole_collections_and_batch_beginnings_are_those_of_a_job(bench, written, set_file):
    rows, hits, random = ROWS, 3 * ROWS, np.random.default_rng(2)
    placements = {"tracks": TRACKS.place(rows), "hits": HITS.place(hits)}
    with writing(bench.events, EVENTS, placements, {}) as writer:
        for collection, layout, count in (("tracks", TRACKS, rows), ("hits", HITS, hits)):
            for name in layout.names[:3]:
                writer.write(collection, name, random.random(count))
        writer.write("hits", "scale", 2.5)
        writer.write("hits", "track", np.sort(random.integers(0, rows, hits)))
    predict(set_file, bench.events, written)
    bench.signature = SET_SIGNATURE
    job(bench, set_file)
    assert np.array_equal(values(written), bench.written())
    job(bench, set_file, batch_size=0)
    np.testing.assert_allclose(values(written), bench.written(), rtol=1e-5)
    assert np.ptp(values(written)) > 1e-3


def test_events_of_another_layout_are_refused_before_the_artifact_is_loaded(
    bench, particles, v3_file, written, monkeypatch
):
    monkeypatch.setattr(unproven.backends, "aot", lambda *_, **__: pytest.fail("loaded"))
    particles(bench.events, 10, Layout.of(Item("number", "int32"), Item("pt", "float32")))
    with pytest.raises(StorageError, match="item 'eta' is missing"):
        predict(v3_file, bench.events, written)
    assert not written.exists()


def test_only_aot_artifacts_are_run(bench, particles, jit_file, program_file, written):
    particles(bench.events, 10)
    for path, kind in ((jit_file, "jit"), (program_file, "program")):
        with pytest.raises(ArtifactError, match=f"is of kind {kind}: name an AOT artifact"):
            predict(path, bench.events, written)


@pytest.mark.parametrize(("accept", "passed"), [([], []), (["--accept-cpu"], ["cpu"])])
def test_the_process_passes_on_what_is_accepted_and_tells_an_error_in_a_sentence(
    monkeypatch, capsys, accept, passed
):
    seen = {}

    def refused(*files, **options):
        seen.update(options, files=[path.name for path in files])
        raise ArtifactError("a.pt2 is corrupt: export it again")

    monkeypatch.setattr(unproven, "predict", refused)
    monkeypatch.setattr("sys.argv", ["unproven", *accept, "a.pt2", "e.h5", "p.h5"])
    assert unproven.main() == 2
    assert capsys.readouterr().err == "soaflow: error: a.pt2 is corrupt: export it again\n"
    assert seen == {"accept": passed, "files": ["a.pt2", "e.h5", "p.h5"]}


# The emulator


def test_a_missing_emulator_is_a_sentence(bench, particles, v3_file, written, monkeypatch):
    monkeypatch.setattr(emulated, "EMULATOR", "qemu-no-such")
    particles(bench.events, 10)
    with pytest.raises(
        PortabilityError, match=r"there is no qemu-no-such: install qemu-user \(make portability"
    ):
        run_emulated(v3_file, bench.events, written, cpu=HASWELL)
    assert not written.exists()


def stand_in(tmp_path, monkeypatch, script):
    """Put a script where the emulator is looked for."""
    program = tmp_path / "emulator"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(emulated, "EMULATOR", str(program))


@pytest.mark.parametrize(
    ("script", "telling"),
    [
        (
            "echo 'soaflow: error: e.h5 is empty: write it' >&2; exit 2",
            "on an emulated Haswell: e.h5 is empty: write",
        ),
        ("kill -ILL $$", "it has an instruction that this CPU lacks, so build it for a lower target"),
        (
            "echo 'qemu: uncaught target signal 4 (Illegal instruction)' >&2; exit 1",
            "it has an instruction that",
        ),
        ("kill -SEGV $$", "it ended with code -11"),
        (
            'echo "qemu-x86_64: warning: TCG doesn\'t support requested feature" >&2; exit 3',
            "ended with code 3",
        ),
    ],
)
def test_how_the_process_ended_is_told(
    bench, particles, jit_file, written, tmp_path, monkeypatch, script, telling
):
    stand_in(tmp_path, monkeypatch, script)
    particles(bench.events, 10)
    with pytest.raises(PortabilityError, match=telling) as raised:
        run_emulated(jit_file, bench.events, written, cpu=HASWELL)
    assert str(raised.value).startswith(f"{jit_file} does not run on an emulated Haswell: ")
    assert "\n" not in str(raised.value)
    assert not written.parent.exists() or list(written.parent.iterdir()) == []


def test_the_process_has_one_thread_and_absolute_paths(
    bench, particles, jit_file, written, tmp_path, monkeypatch
):
    stand_in(tmp_path, monkeypatch, f'echo "$OMP_NUM_THREADS $*" > {tmp_path}/told; : > "$9"')
    particles(bench.events, 10)
    monkeypatch.chdir(jit_file.parent)
    run_emulated(jit_file.name, bench.events, written, cpu=HASWELL, accept_cpu=True)
    told = (tmp_path / "told").read_text()
    assert told.startswith("1 -cpu Haswell ")
    assert f" -m soaflow.infer.unproven --accept-cpu {jit_file} {bench.events} {written.parent}/" in told
    assert written.exists()


@needs_emulator
def test_of_a_fat_artifact_an_emulated_cpu_runs_the_target_that_it_supports(
    bench, particles, fat_file, v3_file, written
):
    particles(bench.events, ROWS + 57)
    run_emulated(fat_file, bench.events, written, cpu=HASWELL)
    job(bench, v3_file)
    np.testing.assert_allclose(values(written), bench.written()[:ROWS], rtol=1e-6)
    assert read_header(written, PREDICTIONS).attributes["variant"] == "x86_64_v3_x86_64_v4_balanced"


@needs_emulator
def test_an_artifact_beyond_the_emulated_cpu_is_refused_before_it_is_loaded(
    bench, particles, v4_file, written
):
    particles(bench.events, ROWS)
    telling = r"emulated Haswell: .*needs avx512bw, .* this CPU, emulated on .*\(x86-64-v3\), lacks"
    with pytest.raises(PortabilityError, match=telling):
        run_emulated(v4_file, bench.events, written, cpu=HASWELL)
    assert list(written.parent.iterdir()) == []


@needs_emulator
def test_an_instruction_beyond_the_emulated_cpu_ends_the_run(bench, particles, v4_file, written):
    """The artifact is accepted although its passport says that it does not fit."""
    particles(bench.events, ROWS)
    before = sha256_of_file(bench.events)
    with pytest.raises(
        PortabilityError, match="it has an instruction that this CPU lacks, so build it for a lower"
    ):
        run_emulated(v4_file, bench.events, written, cpu=HASWELL, accept_cpu=True)
    assert list(written.parent.iterdir()) == []
    assert sha256_of_file(bench.events) == before


def test_an_output_that_cannot_be_written_is_told_before_anything_runs(
    bench, particles, jit_file, tmp_path, monkeypatch
):
    stand_in(tmp_path, monkeypatch, f": > {tmp_path}/ran")
    particles(bench.events, 10)
    with pytest.raises(OutputError, match="cannot be written"):
        run_emulated(jit_file, bench.events, bench.events / "p.h5", cpu=HASWELL)
    assert not (tmp_path / "ran").exists()
