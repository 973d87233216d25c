import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from soaflow.claims import claimed, scratch_folder, temporary_files_in

KILLED = """
import os, signal, sys
from pathlib import Path
from soaflow.claims import claimed
with claimed(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""

SCRATCH_KILLED = """
import os, signal, sys
from soaflow.claims import scratch_folder
with scratch_folder(sys.argv[1]) as folder:
    (folder / "deeper").mkdir()
    (folder / "deeper" / "file").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run_and_be_killed(code, argument):
    assert subprocess.run([sys.executable, "-c", code, argument], check=False).returncode == -9


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def temporaries(folder):
    return [name for name in names(folder) if not name.endswith(".writer")]


def test_what_a_killed_writer_left_goes_with_the_next_writer_of_the_path(tmp_path):
    run_and_be_killed(KILLED, tmp_path / "a.b.h5")
    assert len(names(tmp_path)) == 2
    with claimed(tmp_path / "other.h5"):
        assert len(temporaries(tmp_path)) == 1
    with claimed(tmp_path / "a.b.h5") as temporary:
        assert temporaries(tmp_path) == []
        assert temporary.suffixes[-2:] == [".b", ".h5"]
    assert names(tmp_path) == []


def test_what_several_killed_writers_left_goes_at_once(tmp_path):
    with claimed(tmp_path / "a"), claimed(tmp_path / "a"):
        run_and_be_killed(KILLED, tmp_path / "a")
        run_and_be_killed(KILLED, tmp_path / "a")
    with claimed(tmp_path / "a"), claimed(tmp_path / "a"), claimed(tmp_path / "a"):
        pass
    assert names(tmp_path) == []


def test_what_a_killed_writer_of_a_temporary_left_goes_too(tmp_path):
    nested = KILLED.replace("(Path(sys.argv[1]))", "(Path(sys.argv[1])) as outer, claimed(outer)")
    run_and_be_killed(nested, tmp_path / "a.h5")
    assert len(names(tmp_path)) == 3
    with claimed(tmp_path / "a.h5"):
        pass
    assert names(tmp_path) == []


def test_a_living_writer_keeps_its_temporary(tmp_path):
    with claimed(tmp_path / "a") as first:
        first.write_text("first")
        with claimed(tmp_path / "a") as second:
            assert second != first
            second.write_text("second")
            assert first.read_text() == "first"
        assert first.read_text() == "first"
        with claimed(tmp_path / "a"):
            assert first.read_text() == "first"
    assert names(tmp_path) == []


def test_a_file_system_without_locks_costs_the_removal_only(tmp_path, monkeypatch):
    run_and_be_killed(KILLED, tmp_path / "a")
    remains = temporaries(tmp_path)

    def refuse(*_):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with claimed(tmp_path / "a") as first:
        first.write_text("first")
        with claimed(tmp_path / "a") as second:
            second.write_text("second")
            assert first.read_text() == "first"
        assert first.read_text() == "first"
    assert temporaries(tmp_path) == remains
    with scratch_folder(tmp_path) as first:
        (first / "file").write_text("first")
        with scratch_folder(tmp_path) as second:
            assert second != first
        assert (first / "file").read_text() == "first"
    assert names(tmp_path) == remains


@pytest.mark.parametrize("name", ["../precious", "precious", ".a.0123456789ab.h5", ""])
def test_only_a_temporary_of_the_path_is_removed(tmp_path, name):
    folder = tmp_path / "results"
    folder.mkdir()
    for precious in (tmp_path / "precious", folder / "precious", folder / ".a.0123456789ab.h5"):
        precious.write_text("mine")
    (folder / ".a.0.writer").write_text(name)
    with claimed(folder / "a"):
        pass
    assert names(tmp_path) == ["precious", "results"]
    assert names(folder) == [".a.0123456789ab.h5", "precious"]


def test_a_lock_file_is_never_a_link(tmp_path):
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / ".a.0.writer").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), claimed(tmp_path / "a"):
        pass
    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), claimed(tmp_path / "nowhere" / "a"):
        pass


def test_scratch_of_a_killed_process_goes_with_the_next(tmp_path):
    run_and_be_killed(SCRATCH_KILLED, tmp_path)
    assert len(temporaries(tmp_path)) == 1
    with scratch_folder(tmp_path) as folder:
        assert temporaries(tmp_path) == [folder.name]
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "deeper").mkdir()
    assert names(tmp_path) == []


@pytest.mark.parametrize("before", [None, "/somewhere"])
def test_temporary_files_of_programs_go_where_they_are_told(tmp_path, monkeypatch, before):
    if before is None:
        monkeypatch.delenv("TMPDIR", raising=False)
    else:
        monkeypatch.setenv("TMPDIR", before)
    with temporary_files_in(tmp_path):
        subprocess.run(["mktemp"], check=True, capture_output=True)
    assert len(names(tmp_path)) == 1
    assert os.environ.get("TMPDIR") == before


def test_a_lock_is_not_inherited(tmp_path):
    """Else a child that outlives its killed parent would keep the remains."""
    with claimed(tmp_path / "a"):
        found = subprocess.run(
            [
                sys.executable,
                "-c",
                "import os; print(*map(os.readlink, map('/proc/self/fd/{}'.format, '345678')))",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ".writer" not in found.stdout
        held = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        assert any(name.endswith(".a.0.writer") for name in held)
