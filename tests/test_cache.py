import os
import subprocess
import sys

import pytest

from soaflow import cache as caches
from soaflow.cache import Cache, cache_key

ONE, TWO, THREE = (cache_key({"program": name}) for name in ("one", "two", "three"))


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def used_at(cache, key, time):
    os.utime(cache.folder / key, (time, time))


def test_what_was_kept_is_found(cache):
    assert cache.find(ONE) is None
    assert cache.keep(ONE, b"first")
    assert cache.keep(TWO, b"")
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
    monkeypatch.setattr(caches, "LARGEST_BYTES", 300)
    for time, key in enumerate((ONE, TWO)):
        cache.keep(key, bytes(100))
        used_at(cache, key, time)
    assert cache.find(ONE) is not None, "and so it was used after the second"
    cache.keep(THREE, bytes(100))
    assert [cache.find(key) is not None for key in (ONE, TWO, THREE)] == [True, False, True]


def test_the_newest_is_kept_however_large(cache, monkeypatch):
    monkeypatch.setattr(caches, "LARGEST_BYTES", 50)
    cache.keep(ONE, bytes(10))
    used_at(cache, ONE, 0)
    cache.keep(TWO, bytes(100))
    assert (cache.find(ONE), cache.find(TWO)) == (None, bytes(100))


def test_only_the_caches_own_files_are_let_go(cache, monkeypatch):
    """A user may name a folder that holds other files."""
    monkeypatch.setattr(caches, "LARGEST_BYTES", 50)
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
    assert Cache.of_this_user("builds").folder is None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOAFLOW_CACHE", "mine")
    assert Cache.of_this_user("builds").folder == tmp_path / "mine" / "builds"
    for setting in ("", None):
        monkeypatch.setenv("SOAFLOW_CACHE", "") if setting == "" else monkeypatch.delenv("SOAFLOW_CACHE")
        assert Cache.of_this_user("builds").folder == tmp_path / "xdg" / "soaflow" / "builds"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Cache.of_this_user("builds").folder == tmp_path / "home" / ".cache" / "soaflow" / "builds"


def test_a_user_without_a_home_has_none(monkeypatch):
    for name in ("SOAFLOW_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda _: {}["no such user"])
    assert Cache.of_this_user("builds").folder is None


def test_off_keeps_nothing(tmp_path):
    cache = Cache(None)
    assert not cache.keep(ONE, b"first")
    assert cache.find(ONE) is None
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_a_sentence_and_no_failure(small_disk, capsys):
    with small_disk(64) as folder:
        cache = Cache(folder / "cache")
        cache.keep(ONE, b"first")
        assert not cache.keep(TWO, bytes(1 << 20))
        assert (cache.find(ONE), cache.find(TWO)) == (b"first", None)
        assert [path.name for path in cache.folder.iterdir()] == [ONE]
    assert capsys.readouterr().err == (
        f"soaflow: warning: the cache {cache.folder} cannot be written: No space left on device; mend "
        "that, or set SOAFLOW_CACHE to another folder or to off\n"
    )


@pytest.mark.parametrize("below", ["", "cache"])
def test_a_file_where_the_folder_must_be_is_a_sentence(tmp_path, capsys, below):
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / below)
    cache.keep(ONE, b"first")
    assert cache.find(ONE) is None
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"the cache {cache.folder} cannot be written: " in told
    assert "set SOAFLOW_CACHE to another folder or to off" in told


def test_a_folder_that_may_not_be_written_is_a_sentence(small_disk, capsys):
    with small_disk(64, "ro") as folder:
        for cache in (Cache(folder), Cache(folder / "cache")):
            cache.keep(ONE, b"first")
            assert "cannot be written: Read-only file system; mend" in capsys.readouterr().err


WRITER = """
import random, sys
from pathlib import Path
from soaflow import cache as caches
caches.LARGEST_BYTES = 40_000
cache = caches.Cache(Path(sys.argv[1]))
random.seed(int(sys.argv[2]))
found = 0
for _ in range(300):
    number = random.randrange(8)
    key, content = caches.cache_key({"n": number}), bytes([number]) * 10_000
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
