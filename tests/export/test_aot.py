import copy
import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from torch.export import Dim

from soaflow.errors import ArtifactError, ExportError
from soaflow.export import aot
from soaflow.export.aot import compile_program, read_package, write_aot
from soaflow.export.check import check_against_eager
from soaflow.export.examples import CallShape, example_inputs
from soaflow.export.jit import write_jit
from soaflow.export.program import write_program
from soaflow.export.targets import find_target
from soaflow.passport import passport_path, read_passport, verify_artifact, write_passport
from soaflow.soa.signature import Signature


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
    assert (passport.kind, passport.model, passport.target) == ("aot", case.name, "native")
    assert Signature.from_mapping(passport.signature) == case.signature
    assert passport.origin["program_sha256"] == read_passport(program_file).sha256
    assert passport.options["cpp.threads"] == 1
    assert set(passport.toolchain) >= {
        "torch",
        "python",
        "c_library",
        "compiler",
        "march",
        "vector_instructions",
    }


@pytest.mark.compile
def test_no_thread_is_compiled_in_and_no_path_of_this_machine(aot_file):
    content = aot_file.read_bytes()
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
    package.write_bytes(compile_program(program, find_target("native"), tmp_path, "Net"))
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


@pytest.fixture(scope="module")
def compiled(normalisation_case, tmp_path_factory):
    """A program and its artifact."""
    folder = tmp_path_factory.mktemp("compiled")
    program, artifact = folder / "Net.float32.pt2", folder / "Net.float32.native.pt2"
    write_net(normalisation_case.model, normalisation_case, program)
    write_aot(program, "native", artifact, scratch=folder)
    return program, artifact


@pytest.mark.compile
def test_the_same_bytes_twice_and_nothing_is_left(compiled, tmp_path):
    program, artifact = compiled
    again = tmp_path / artifact.name
    write_aot(program, "native", again, scratch=tmp_path)
    assert again.read_bytes() == artifact.read_bytes()
    assert passport_path(again).read_bytes() == passport_path(artifact).read_bytes()
    assert sorted(tmp_path.iterdir()) == [again, passport_path(again)]


@pytest.mark.compile
def test_the_package_of_another_model_is_not_handed_over(compiled, normalisation_case, tmp_path, monkeypatch):
    other = copy.deepcopy(normalisation_case.model)
    with torch.no_grad():
        other.layers[2].bias += 0.001
    program = tmp_path / "Net.float32.pt2"
    write_net(other, normalisation_case, program)
    monkeypatch.setattr(aot, "compile_program", lambda *_: compiled[1].read_bytes())
    with pytest.raises(ExportError, match=r"AOT artifact for target native of model Net at .* differs"):
        write_aot(program, "native", tmp_path / "out" / "Net.float32.native.pt2")
    assert not (tmp_path / "out").exists()


@pytest.mark.compile
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_precision_is_the_models_and_not_the_inputs(mask_case, tmp_path, dtype):
    program, artifact = tmp_path / "Net.pt2", tmp_path / "Net.native.pt2"
    write_program(mask_case.model, mask_case.signature, program, model_name="Net", dtype=dtype, origin={})
    assert write_aot(program, "native", artifact).dtype == dtype
    inputs = example_inputs(mask_case.signature, CallShape(23, 96), 9)
    assert inputs[0].dtype == torch.float32
    assert read_package(artifact)(*inputs)[0].dtype == getattr(torch, dtype)


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


def test_only_whole_verified_programs_are_compiled(small_program, normalisation_case, tmp_path):
    with pytest.raises(ExportError, match="no target 'z80'"):
        write_aot(small_program, "z80", tmp_path / "a.pt2")
    jit = tmp_path / "Net.float32.pt"
    write_jit(
        normalisation_case.model,
        normalisation_case.signature,
        jit,
        model_name="Net",
        dtype="float32",
        origin={},
    )
    with pytest.raises(ArtifactError, match="is of kind jit: compile a program"):
        write_aot(jit, "native", tmp_path / "a.pt2")
    passport = read_passport(small_program)
    small_program.write_bytes(small_program.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="SHA-256"):
        write_aot(small_program, "native", tmp_path / "a.pt2")
    write_passport(small_program, dataclasses.replace(passport, sha256="0" * 64))
    with pytest.raises(ArtifactError, match="SHA-256"):
        write_aot(small_program, "native", tmp_path / "a.pt2")
    passport_path(small_program).unlink()
    with pytest.raises(ArtifactError, match="has no passport"):
        write_aot(small_program, "native", tmp_path / "a.pt2")
