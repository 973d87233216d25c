import hashlib
import json
import os

import pytest

from soaflow import sources
from soaflow.cache import Cache
from soaflow.errors import ConfigError
from soaflow.sources import Sources

CODE = '''
"""A module."""
import os, a.b
from c import d
from .e import f
from . import g
from .. import h
from c import d as again


class C:
    """A class."""

    async def method(self):
        """A method."""
        return 1
'''


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def analysed(monkeypatch):
    """Files that were analysed and not found in the cache."""
    calls, analyse = [], sources._analysed
    monkeypatch.setattr(
        sources, "_analysed", lambda content, path: calls.append(path) or analyse(content, path)
    )
    return calls


def test_what_a_file_imports(cache, file):
    assert Sources(cache).read(file).imports == (
        (0, "os"),
        (0, "a.b"),
        (0, "c"),
        (0, "c.d"),
        (1, "e"),
        (1, "e.f"),
        (1, "g"),
        (2, "h"),
    )


def test_docstrings_comments_and_format_do_not_count_and_code_does(cache, file):
    def code(text):
        file.write_text(text)
        return Sources(cache).read(file).code

    bare = code(CODE)
    for name in ("module", "class", "method"):
        assert code(CODE.replace(f'"""A {name}."""', f'"""The {name}."""  # it is')) == bare
    assert code(CODE.replace("\n\n\n", "\n\n\n\n")) == bare
    assert code(CODE.replace("return 1", "return 2")) != bare


def test_a_file_is_analysed_once_for_all_processes(cache, file, analysed):
    first = Sources(cache)
    told = first.read(file)
    first.keep()
    assert Sources(cache).read(file) == told
    assert analysed == [file]


def test_an_edit_is_seen_whatever_its_time_and_size(cache, file, analysed):
    first = Sources(cache)
    before = first.read(file)
    first.keep()
    status = file.stat()
    file.write_text(CODE.replace("return 1", "return 2"))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert Sources(cache).read(file).code != before.code
    assert len(analysed) == 2


def test_another_way_to_analyse_finds_nothing_kept(cache, file, analysed, monkeypatch, tmp_path):
    """The planted fault: facts that an older version of this module found."""
    first = Sources(cache)
    first.read(file)
    first.keep()
    newer = tmp_path / "sources.py"
    newer.write_text("another version")
    for where, name, value in ((sources, "__file__", str(newer)), (sources.sys, "version", "4.0")):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, value)
            Sources(cache).read(file)
    assert len(analysed) == 3


def test_a_damaged_entry_is_analysed_again(cache, file, analysed):
    first = Sources(cache)
    told = first.read(file)
    first.keep()
    (entry,) = cache.folder.iterdir()
    entry.write_bytes(entry.read_bytes().replace(told.code.encode(), hashlib.sha256().hexdigest().encode()))
    assert Sources(cache).read(file) == told
    assert len(analysed) == 2


def test_nothing_is_written_when_nothing_is_new(cache, file, monkeypatch):
    first = Sources(cache)
    first.read(file)
    first.keep()
    monkeypatch.setattr(Cache, "keep", lambda *_: pytest.fail("it was written again"))
    first.keep()
    second = Sources(cache)
    second.read(file)
    second.keep()


def test_the_number_of_kept_files_is_limited_to_those_of_use(cache, file, monkeypatch, analysed):
    monkeypatch.setattr(sources, "MOST", 2)
    for number in range(4):
        file.write_text(f"NUMBER = {number}\n")
        kept = Sources(cache)
        kept.read(file)
        kept.keep()
    (entry,) = cache.folder.iterdir()
    assert len(json.loads(entry.read_bytes()[hashlib.sha256().digest_size :])) <= 2
    Sources(cache).read(file)
    assert len(analysed) == 4, "the last one is kept"


def test_without_a_cache_all_goes_on(file):
    alone = Sources(Cache(None))
    alone.read(file)
    alone.keep()


def test_a_file_that_is_not_there_is_named(cache, tmp_path):
    with pytest.raises(
        ConfigError, match=r"no\.py cannot be read: No such file or directory; name a readable"
    ):
        Sources(cache).read(tmp_path / "no.py")


def test_a_cache_that_cannot_be_written_is_one_sentence(file, tmp_path, capsys):
    (tmp_path / "blocked").write_text("")
    reading = Sources(Cache(tmp_path / "blocked"))
    for number in range(3):
        file.write_text(f"NUMBER = {number}\n")
        reading.read(file)
        reading.keep()
    assert capsys.readouterr().err.count("cannot be written") == 1
