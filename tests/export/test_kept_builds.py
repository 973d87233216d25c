import copy
import dataclasses
import hashlib
import shutil

import pytest
import torch

from soaflow.cache import Cache
from soaflow.cpu import Cpu
from soaflow.errors import ExportError
from soaflow.export import aot, compilation
from soaflow.export.aot import write_aot
from soaflow.export.compilation import Compiled
from soaflow.export.program import write_program
from soaflow.passport import read_passport


@pytest.fixture
def compilations(monkeypatch, first_build):
    """Count compilations, which give what the first one gave: compiling is shown elsewhere."""
    (entry,) = first_build[2].folder.iterdir()
    made = entry.read_bytes()[hashlib.sha256().digest_size :]
    calls = []
    monkeypatch.setattr(
        aot, "compile_program", lambda *arguments: calls.append(arguments) or Compiled.from_bytes(made)
    )
    return calls


@pytest.fixture
def used_cache(first_build, tmp_path):
    """A copy of the cache after the first build."""
    return Cache(shutil.copytree(first_build[2].folder, tmp_path / "used"))


@pytest.mark.compile
def test_a_hit_is_the_same_artifact_and_the_passport_says_so(first_build, used_cache, compilations, tmp_path):
    program, artifact, _ = first_build
    again = tmp_path / "Net.pt2"
    passport = write_aot(program, "native", again, cache=used_cache)
    assert not compilations
    assert again.read_bytes() == artifact.read_bytes()
    first = read_passport(artifact)
    assert (first.made["native"]["from_cache"], passport.made["native"]["from_cache"]) == (False, True)
    assert dataclasses.replace(first, made={}) == dataclasses.replace(passport, made={})
    assert passport.builds["native"].checks == first.builds["native"].checks, "it was checked again"


@pytest.mark.compile
def test_a_damaged_entry_is_compiled_again_and_mended(first_build, used_cache, compilations, tmp_path):
    program, artifact, _ = first_build
    (entry,) = used_cache.folder.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(whole[:1000] + bytes([whole[1000] ^ 4]) + whole[1001:])
    passport = write_aot(program, "native", tmp_path / "Net.pt2", cache=used_cache)
    assert len(compilations) == 1
    assert passport.made["native"]["from_cache"] is False
    assert (tmp_path / "Net.pt2").read_bytes() == artifact.read_bytes()
    assert entry.read_bytes() == whole


@pytest.mark.compile
def test_what_comes_from_the_cache_is_checked_as_what_was_compiled(
    used_cache, compilations, normalisation_case, tmp_path
):
    """The planted fault: the entry of this key holds the package of another model."""
    (entry,) = used_cache.folder.iterdir()
    case, other = normalisation_case, copy.deepcopy(normalisation_case.model)
    with torch.no_grad():
        other.layers[2].bias += 0.01
    program = tmp_path / "Other.pt2"
    write_program(other, case.signature, program, model_name="Other", dtype="float32", origin={})
    used_cache.keep(key_of(program), used_cache.find(entry.name))
    with pytest.raises(ExportError, match=r"AOT artifact .* of model Other .* differs from the eager model"):
        write_aot(program, "native", tmp_path / "out" / "Net.pt2", cache=used_cache)
    assert not compilations
    assert not (tmp_path / "out").exists()


@pytest.mark.compile
def test_without_a_cache_it_is_compiled_each_time(first_build, compilations, tmp_path, capsys):
    program, artifact, _ = first_build
    (tmp_path / "file").write_text("")
    for cache in (None, Cache(None), Cache(tmp_path / "file")):
        write_aot(program, "native", tmp_path / "Net.pt2", cache=cache)
        assert (tmp_path / "Net.pt2").read_bytes() == artifact.read_bytes()
    assert len(compilations) == 3
    assert capsys.readouterr().err.count("the cache") == 1


class AskedError(Exception):
    """A build asked its cache."""


class Asks(Cache):
    def find(self, key):
        raise AskedError(key)


def key_of(program, target="native", profile="balanced"):
    with pytest.raises(AskedError) as asked:
        write_aot(program, target, "nowhere.pt2", profile_name=profile, cache=Asks(None))
    return asked.value.args[0]


def test_all_that_a_build_depends_on_is_in_the_key(workshop, monkeypatch, tmp_path):
    program = workshop.program("NormalisationFirst")
    keys = {key_of(program)}
    assert {key_of(program)} == keys
    copied = tmp_path / "elsewhere.pt2"
    shutil.copyfile(program, copied)
    assert {key_of(copied)} == keys, "its name and place do not matter"

    def other(what, program=program, **arguments):
        key = key_of(program, **arguments)
        assert key not in keys, f"another {what} has the same key"
        keys.add(key)

    other("target", target="x86-64-v2")
    other("profile", profile="throughput")
    other("program", workshop.program("AttentionFirst"))
    facts = aot.compiler_facts
    for what, where, name, value in (
        ("option", compilation, "OPTIONS", {**compilation.OPTIONS, "cpp.threads": 2}),
        ("compiler", aot, "compiler_facts", lambda target: {**facts(target), "compiler": "g++ 99"}),
        ("torch", aot, "compiler_facts", lambda target: {**facts(target), "torch": "3.0"}),
        ("CPU", aot, "this_cpu", lambda: Cpu("Other", "x86_64", 4, frozenset())),
        ("code", aot, "code_digest", lambda *_: "0" * 64),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, value)
            other(what)
    for variable in ("ATEN_CPU_CAPABILITY", "CPATH"):
        with monkeypatch.context() as patch:
            patch.setenv(variable, "default")
            other(variable)
    level = key_of(program, "x86-64-v2")
    monkeypatch.setattr(aot, "this_cpu", lambda: Cpu("Other", "x86_64", 4, frozenset()))
    assert key_of(program, "x86-64-v2") == level, "what is built for a level is the same wherever it is built"
