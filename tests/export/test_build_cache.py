import copy
import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys

import pytest
import torch

from soaflow.cpu import Cpu
from soaflow.errors import ExportError
from soaflow.export import aot, build_cache, compilation
from soaflow.export.aot import write_aot
from soaflow.export.build_cache import BuildCache, cache_key
from soaflow.export.compilation import Compiled
from soaflow.export.program import write_program
from soaflow.passport import read_passport

ONE, TWO, THREE = (cache_key({"program": name}) for name in ("one", "two", "three"))


@pytest.fixture
def cache(tmp_path):
    return BuildCache(tmp_path / "cache")


def used_at(cache, key, time):
    os.utime(cache.folder / key, (time, time))


def test_what_was_kept_is_found(cache):
    assert cache.find(ONE) is None
    cache.keep(ONE, b"first")
    cache.keep(TWO, b"")
    assert (cache.find(ONE), cache.find(TWO), cache.find(THREE)) == (b"first", b"", None)
    cache.keep(ONE, b"again")
    assert cache.find(ONE) == b"again"
    assert cache.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("how", ["empty", "short", "longer", "flipped", "folder", "unreadable"])
def test_a_damaged_entry_is_none(cache, how):
    cache.keep(ONE, b"first" * 100)
    path = cache.folder / ONE
    whole = path.read_bytes()
    if how in ("folder", "unreadable"):
        path.unlink()
        path.mkdir() if how == "folder" else path.symlink_to(path)
    else:
        flipped = bytes([whole[-1] ^ 1])
        damages = {
            "empty": b"",
            "short": whole[:-1],
            "longer": whole + b"x",
            "flipped": whole[:-1] + flipped,
        }
        path.write_bytes(damages[how])
    assert cache.find(ONE) is None


def test_the_least_recently_used_go_first(cache, monkeypatch):
    monkeypatch.setattr(build_cache, "LARGEST_BYTES", 300)
    for time, key in enumerate((ONE, TWO)):
        cache.keep(key, bytes(100))
        used_at(cache, key, time)
    assert cache.find(ONE) is not None, "and so it was used after the second"
    cache.keep(THREE, bytes(100))
    assert [cache.find(key) is not None for key in (ONE, TWO, THREE)] == [True, False, True]


def test_the_newest_is_kept_however_large(cache, monkeypatch):
    monkeypatch.setattr(build_cache, "LARGEST_BYTES", 50)
    cache.keep(ONE, bytes(10))
    used_at(cache, ONE, 0)
    cache.keep(TWO, bytes(100))
    assert (cache.find(ONE), cache.find(TWO)) == (None, bytes(100))


def test_only_the_caches_own_files_are_let_go(cache, monkeypatch):
    """A user may name a folder that holds other files."""
    monkeypatch.setattr(build_cache, "LARGEST_BYTES", 50)
    (cache.folder / "folder").mkdir(parents=True)
    foreign, left = cache.folder / "thesis.tex", cache.folder / f".{TWO}.0123456789ab"
    for path in (foreign, left):
        path.write_bytes(bytes(100))
        os.utime(path, (0, 0))
    cache.keep(ONE, b"first")
    assert foreign.exists()
    assert (cache.folder / "folder").exists()
    assert not left.exists(), "a killed job wrote it"


def test_the_environment_names_it(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("SOAFLOW_CACHE", "off")
    assert BuildCache.of_this_user().folder is None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOAFLOW_CACHE", "mine")
    assert BuildCache.of_this_user().folder == tmp_path / "mine"
    for setting in ("", None):
        monkeypatch.setenv("SOAFLOW_CACHE", "") if setting == "" else monkeypatch.delenv("SOAFLOW_CACHE")
        assert BuildCache.of_this_user().folder == tmp_path / "xdg" / "soaflow" / "builds"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert BuildCache.of_this_user().folder == tmp_path / "home" / ".cache" / "soaflow" / "builds"


def test_a_user_without_a_home_has_none(monkeypatch):
    for name in ("SOAFLOW_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda _: {}["no such user"])
    assert BuildCache.of_this_user().folder is None


def test_off_keeps_nothing(tmp_path):
    cache = BuildCache(None)
    cache.keep(ONE, b"first")
    assert cache.find(ONE) is None
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_a_sentence_and_no_failure(small_disk, capsys):
    with small_disk(64) as folder:
        cache = BuildCache(folder / "cache")
        cache.keep(ONE, b"first")
        cache.keep(TWO, bytes(1 << 20))
        assert (cache.find(ONE), cache.find(TWO)) == (b"first", None)
        assert [path.name for path in cache.folder.iterdir()] == [ONE]
    assert capsys.readouterr().err == (
        f"soaflow: warning: the build cache {cache.folder} cannot be written: No space left on device; mend "
        "that, or set SOAFLOW_CACHE to another folder or to off\n"
    )


@pytest.mark.parametrize("below", ["", "cache"])
def test_a_file_where_the_folder_must_be_is_a_sentence(tmp_path, capsys, below):
    (tmp_path / "file").write_text("")
    cache = BuildCache(tmp_path / "file" / below)
    cache.keep(ONE, b"first")
    assert cache.find(ONE) is None
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"the build cache {cache.folder} cannot be written: " in told
    assert "set SOAFLOW_CACHE to another folder or to off" in told


def test_a_folder_that_may_not_be_written_is_a_sentence(small_disk, capsys):
    with small_disk(64, "ro") as folder:
        for cache in (BuildCache(folder), BuildCache(folder / "cache")):
            cache.keep(ONE, b"first")
            assert "cannot be written: Read-only file system; mend" in capsys.readouterr().err


WRITER = """
import random, sys
from pathlib import Path
from soaflow.export import build_cache
build_cache.LARGEST_BYTES = 40_000
cache = build_cache.BuildCache(Path(sys.argv[1]))
random.seed(int(sys.argv[2]))
found = 0
for _ in range(300):
    number = random.randrange(8)
    key, content = build_cache.cache_key({"n": number}), bytes([number]) * 10_000
    entry = cache.find(key)
    assert entry in (None, content), "bytes of two writers were mixed"
    found += entry is not None
    cache.keep(key, content)
sys.exit(0 if found else "nothing was ever found")
"""


def test_two_processes_at_once(cache):
    """They keep, find and let go of the same entries."""
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, cache.folder, str(seed)], stderr=subprocess.PIPE)
        for seed in (1, 2)
    ]
    told = [process.communicate()[1].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0], told
    left = [path for path in cache.folder.iterdir() if path.name.startswith(".")]
    assert not left
    assert sum(path.stat().st_size for path in cache.folder.iterdir()) <= 60_000


def test_a_job_killed_while_it_writes_leaves_no_entry(cache, monkeypatch):
    monkeypatch.setattr("soaflow.files.os.replace", lambda *_: sys.exit(1))
    with pytest.raises(SystemExit):
        cache.keep(ONE, b"first")
    assert cache.find(ONE) is None


# Builds


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
    return BuildCache(shutil.copytree(first_build[2].folder, tmp_path / "used"))


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
    for cache in (None, BuildCache(None), BuildCache(tmp_path / "file")):
        write_aot(program, "native", tmp_path / "Net.pt2", cache=cache)
        assert (tmp_path / "Net.pt2").read_bytes() == artifact.read_bytes()
    assert len(compilations) == 3
    assert capsys.readouterr().err.count("the build cache") == 1


class AskedError(Exception):
    """A build asked its cache."""


class Asks(BuildCache):
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
