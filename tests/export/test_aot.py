import copy
import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from torch.export import Dim

from soaflow.description import read_description
from soaflow.errors import ArtifactError, ConfigError, ExportError, TargetError
from soaflow.export import aot
from soaflow.export.aot import read_package, write_aot
from soaflow.export.archives import read_records, write_records
from soaflow.export.check import check_against_eager
from soaflow.export.compilation import Compiled, compile_program
from soaflow.export.examples import CallShape, example_inputs
from soaflow.export.jit import write_jit
from soaflow.export.program import write_program
from soaflow.passport import passport_path, read_passport, write_passport
from soaflow.profiles import find_profile
from soaflow.soa.signature import Signature
from soaflow.targets import find_target
from soaflow.verification import verify_artifact


def write_net(model, case, path):
    write_program(model, case.signature, path, model_name="Net", dtype="float32", origin={})


@pytest.fixture
def small_program(normalisation_case, tmp_path):
    path = tmp_path / "Net.float32.pt2"
    write_net(normalisation_case.model, normalisation_case, path)
    return path


@pytest.mark.compile
def test_passport(case, aot_file, program_file):
    passport = verify_artifact(aot_file)
    description, build = passport.description, passport.builds["native"]
    assert (description.kind, description.model) == ("aot", case.name)
    assert (description.targets, description.profile) == (("native",), "balanced")
    assert read_description(aot_file) == description
    assert Signature.from_mapping(description.signature) == case.signature
    assert description.origin["program_sha256"] == read_passport(program_file).sha256
    assert build.options["cpp.threads"] == 1
    assert build.machine_code["parallel_regions"] == []
    assert build.machine_code["glibc"]
    assert any("-shared" in call.split() for call in build.toolchain["flags"])
    assert set(build.toolchain) >= {
        "torch",
        "python",
        "c_library",
        "compiler",
        "march",
        "vector_instructions",
    }
    assert passport.made["native"]["from_cache"] is False


@pytest.mark.compile
def test_no_thread_is_compiled_in_and_no_path_of_this_machine(aot_file):
    content = aot_file.read_bytes() + passport_path(aot_file).read_bytes()
    assert b"GOMP_parallel" not in content
    for folder in (
        Path(torch.__file__).parents[1],
        Path(__file__).parents[2],
        aot_file.parent,
        "/tmp/",
        "soaflow-",
    ):
        assert str(folder).encode() not in content


@pytest.mark.compile
def test_an_export_with_a_contiguous_example_is_caught(normalisation_case, tmp_path):
    """The planted fault: without symbolic strides the package reads SoA views as row-major."""
    example = torch.rand(37, 4)
    program = torch.export.export(
        normalisation_case.model, (example,), dynamic_shapes=({0: Dim("B", min=1)},), strict=False
    )
    package = tmp_path / "wrong.pt2"
    compiled = compile_program(program, find_target("native"), find_profile("balanced"), tmp_path, "Net")
    package.write_bytes(write_records(compiled.records))
    candidate = read_package(package)
    torch.testing.assert_close(candidate(example)[0], normalisation_case.model(example))
    with pytest.raises(
        ExportError, match=r"AOT artifact of model Net at \d+ rows from row \d+ of .* differs"
    ):
        check_against_eager(
            candidate,
            normalisation_case.model,
            normalisation_case.signature,
            model_name="Net",
            what="AOT artifact",
            dtype="float32",
        )


@pytest.fixture
def compiled(first_build):
    """A program and its artifact."""
    return first_build[:2]


@pytest.mark.compile
def test_a_program_file_alone_gives_the_same_bytes(compiled, workshop, tmp_path):
    """The command builds what the workflow builds, from a copy without passport, and leaves nothing."""
    program, artifact = compiled
    alone, again = tmp_path / "moved" / "mine.pt2", tmp_path / "built" / artifact.name
    alone.parent.mkdir()
    shutil.copyfile(program, alone)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = workshop.rebuild(alone, "native", "balanced", again, TMPDIR=str(scratch))
    assert done.returncode == 0, done.stderr
    assert again.read_bytes() == artifact.read_bytes()
    first, second = read_passport(artifact), read_passport(again)
    assert dataclasses.replace(first, made={}) == dataclasses.replace(second, made={})
    assert first.digest() == second.digest()
    assert sorted(again.parent.iterdir()) == [again, passport_path(again)]
    assert not list(scratch.glob("soaflow-*"))
    assert "for native, compiled and checked in" in done.stdout


@pytest.mark.compile
def test_the_package_of_another_model_is_not_handed_over(compiled, normalisation_case, tmp_path, monkeypatch):
    other = copy.deepcopy(normalisation_case.model)
    with torch.no_grad():
        other.layers[2].bias += 0.001
    program = tmp_path / "Net.float32.pt2"
    write_net(other, normalisation_case, program)
    records = read_records(compiled[1].read_bytes())
    monkeypatch.setattr(aot, "compile_program", lambda *_: Compiled(records, ()))
    with pytest.raises(ExportError, match=r"AOT artifact for target native of model Net at .* differs"):
        write_aot(program, "native", tmp_path / "out" / "Net.float32.native.pt2")
    assert not (tmp_path / "out").exists()


@pytest.mark.compile
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_precision_is_the_models_and_not_the_inputs(mask_case, tmp_path, dtype):
    program, artifact = tmp_path / "Net.pt2", tmp_path / "Net.native.pt2"
    write_program(mask_case.model, mask_case.signature, program, model_name="Net", dtype=dtype, origin={})
    assert write_aot(program, "native", artifact).description.dtype == dtype
    inputs = example_inputs(mask_case.signature, CallShape(23, 96), 9)
    assert inputs[0].dtype == torch.float32
    (got,) = read_package(artifact)(*inputs)
    assert got.dtype == (torch.float64 if dtype == "float64" else torch.float32), "as its item is stored"
    assert torch.equal(got, got.to(getattr(torch, dtype)).to(got.dtype))
    assert torch.equal(got, got.float()) == (dtype != "float64")


def test_without_a_compiler_there_is_a_sentence(small_program, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ExportError, match=r"no C\+\+ compiler 'no-such-compiler'.*install g\+\+"):
        write_aot(small_program, "native", tmp_path / "a.pt2")
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError, match=r"no C\+\+ compiler 'g\+\+'"):
        write_aot(small_program, "native", tmp_path / "a.pt2")


def test_a_compiler_that_fails_is_a_sentence(small_program, tmp_path, monkeypatch):
    compiler = tmp_path / "g++"
    compiler.write_text(
        f'#!/bin/sh\ncase "$*" in *--version*) exec {shutil.which("g++")} --version;; esac\nexit 1\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    path = tmp_path / "out" / "Net.pt2"
    with pytest.raises(ExportError, match="model Net cannot be compiled for target native"):
        write_aot(small_program, "native", path)
    assert not path.exists()


def test_only_programs_are_compiled(small_program, normalisation_case, tmp_path):
    for target, profile, error, message in (
        ("z80", "latency", TargetError, "no target 'z80'"),
        ("native", "fast", ConfigError, "no build profile 'fast'"),
    ):
        with pytest.raises(error, match=message):
            write_aot(small_program, target, tmp_path / "a.pt2", profile_name=profile)
    jit = tmp_path / "Net.float32.pt"
    write_jit(
        normalisation_case.model,
        normalisation_case.signature,
        jit,
        model_name="Net",
        dtype="float32",
        origin={},
    )
    for _ in range(2):
        with pytest.raises(ArtifactError, match="is of kind jit: compile a program"):
            write_aot(jit, "native", tmp_path / "a.pt2")
        passport_path(jit).unlink(missing_ok=True)
    with pytest.raises(ArtifactError, match=r"nothing\.pt2 is not there: export it first"):
        write_aot(tmp_path / "nothing.pt2", "native", tmp_path / "a.pt2")
    jit.write_bytes(b"no archive")
    with pytest.raises(ArtifactError, match=r"Net\.float32\.pt "):
        write_aot(jit, "native", tmp_path / "a.pt2")


def test_a_program_that_is_not_its_passports_is_refused(small_program, tmp_path):
    passport = read_passport(small_program)
    whole = small_program.read_bytes()
    small_program.write_bytes(whole[:-1])
    with pytest.raises(ArtifactError, match="SHA-256"):
        write_aot(small_program, "native", tmp_path / "a.pt2")
    small_program.write_bytes(whole)
    write_passport(small_program, dataclasses.replace(passport, sha256="0" * 64))
    with pytest.raises(ArtifactError, match="SHA-256"):
        write_aot(small_program, "native", tmp_path / "a.pt2")
    other = dataclasses.replace(passport.description, model="Other")
    write_passport(small_program, dataclasses.replace(passport, description=other))
    with pytest.raises(ArtifactError, match="something else of itself than its passport"):
        write_aot(small_program, "native", tmp_path / "a.pt2")


def test_a_program_without_its_description_is_refused(small_program, tmp_path):
    passport_path(small_program).unlink()
    records = read_records(small_program.read_bytes())
    small_program.write_bytes(write_records({name: records[name] for name in records if "extra" not in name}))
    with pytest.raises(ArtifactError, match=r"no member 'extra/soaflow\.json'"):
        write_aot(small_program, "native", tmp_path / "a.pt2")


def test_an_archive_that_no_reader_would_accept_is_not_handed_over(compiled, tmp_path, monkeypatch):
    program, artifact = compiled
    records = read_records(artifact.read_bytes())
    monkeypatch.setattr(aot, "compile_program", lambda *_: Compiled(records, ("-shared",)))
    write_aot(program, "native", tmp_path / "right" / "Net.pt2")
    strange = {**records, "extra/strange.py": b"import os"}
    monkeypatch.setattr(aot, "compile_program", lambda *_: Compiled(strange, ("-shared",)))
    with pytest.raises(ArtifactError, match=r"member 'extra/strange\.py', which no AOT artifact has"):
        write_aot(program, "native", tmp_path / "wrong" / "Net.pt2")
    assert not [path for path in tmp_path.glob("wrong/*") if path.is_file()]


@pytest.mark.parametrize("lead", [0, 1, 3])
def test_a_view_that_is_moved_keeps_its_strides_and_its_alignment(lead):
    rows = torch.arange(lead + 3 * 40, dtype=torch.float32)
    view = rows.as_strided((37, 3), (1, 40), lead)
    moved = aot.moved_view(view, "cpu")
    assert torch.equal(moved, view)
    assert (moved.shape, moved.stride()) == (view.shape, view.stride())
    assert moved.untyped_storage().data_ptr() != view.untyped_storage().data_ptr()
    assert moved.data_ptr() % aot.ALIGNMENT == view.data_ptr() % aot.ALIGNMENT
    nothing = aot.moved_view(view[:0], "cpu")
    assert (nothing.shape, nothing.stride()) == (view[:0].shape, view[:0].stride())
