"""Temporary names for files that are being written, whose remains go when their writer was killed.

The invariant: two living writers of one path never have the same temporary, and what a dead one left is
removed by the next writer of that path, on whatever machine of a shared file system.

A writer holds a lock on a small file beside the path, which says what its temporary is called; the lock
goes with its process, however that ends. The lock files of a path are numbered from 0 and the first free
one is taken, so that nobody need list a folder of thousands of shards. A file system without locks costs
the removal, never the safety: each temporary has a random part in its name.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     with claimed(Path(folder) / "0.h5") as temporary:
...         print(sorted(path.name for path in Path(folder).iterdir()), temporary.suffix)
...     sorted(Path(folder).iterdir())
['.0.h5.0.writer'] .h5
[]
"""

import contextlib
import errno
import fcntl
import itertools
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_TOKEN_BYTES = 6
_LONGEST_NAME = 255
_ATTEMPTS = 1000
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[Path]:
    """Give a temporary name beside a path, for a file or a folder, and remove what is there afterwards.

    What killed writers of the same path left behind is removed first. The folder must be there.

    Raises
    ------
    OSError
        If the folder cannot be written to.
    """
    temporary = path.with_name(_temporary_name(path, secrets.token_hex(_TOKEN_BYTES)))
    lock, descriptor = _first_free(path)
    try:
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, temporary.name.encode(), 0)
        yield temporary
    finally:
        _remove(temporary)
        _let_go(lock, descriptor)


@contextlib.contextmanager
def scratch_folder(parent: Path | str | None = None) -> Iterator[Path]:
    """Give an empty folder that is gone after the block; that of a killed process goes with the next one.

    Parameters
    ----------
    parent
        Where it is made; the system's folder for temporary files unless given.
    """
    with claimed(Path(parent or tempfile.gettempdir()) / f"soaflow-{os.getuid()}") as folder:
        folder.mkdir(mode=0o700)
        yield folder


@contextlib.contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """Let C++ libraries and compilers put their temporary files into a folder during the block."""
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = os.fspath(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before


def _temporary_name(path: Path, token: str) -> str:
    """Return a hidden name with the suffixes of the path, by which libraries know what to write."""
    suffix = "".join(path.suffixes[-2:])
    return f".{path.name.removesuffix(suffix)}.{token}{suffix}"


def _first_free(path: Path) -> tuple[Path, int]:
    """Lock the first lock file of a path that no living writer holds, and clear up after the dead ones."""
    found: tuple[Path, int] | None = None
    for lock in _lock_files(path):
        if found is not None and not lock.exists():
            return found
        descriptor = _locked(lock)
        if descriptor is None:
            continue
        _remove_remains(path, descriptor)
        if found is None:
            found = lock, descriptor
        else:
            _let_go(lock, descriptor)
    raise AssertionError


def _lock_files(path: Path) -> Iterator[Path]:
    """Return the lock files that writers of a path may have, without an end."""
    return (path.with_name(f".{path.name}.{number}.writer") for number in itertools.count())


def _locked(lock: Path) -> int | None:
    """Open and lock a lock file; None if it is a living writer's or another user's."""
    for _ in range(_ATTEMPTS):
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except PermissionError:
            if lock.exists():
                return None
            raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
            # Nobody can tell a dead writer from a living one: forget what it was writing.
            os.truncate(descriptor, 0)
        # Its last holder may have removed it after it was opened here.
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), os.stat(lock)):
                return descriptor
        os.close(descriptor)
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), os.fspath(lock))


def _remove_remains(path: Path, descriptor: int) -> None:
    """Remove the temporary that a lock file names, if it is one of the path's and of this user."""
    name = os.pread(descriptor, _LONGEST_NAME, 0).decode(errors="replace")
    pattern = re.escape(_temporary_name(path, "TOKEN")).replace("TOKEN", f"[0-9a-f]{{{2 * _TOKEN_BYTES}}}")
    if os.fstat(descriptor).st_uid == os.geteuid() and re.fullmatch(pattern, name):
        _remove(path.with_name(name))


def _remove(temporary: Path) -> None:
    """Remove a temporary file or folder, and what a dead writer of the temporary itself left."""
    # On a read-only file system even the removal of what is not there is refused.
    with contextlib.suppress(OSError):
        if temporary.is_dir() and not temporary.is_symlink():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
        for lock in itertools.takewhile(Path.exists, _lock_files(temporary)):
            if (descriptor := _locked(lock)) is not None:
                _remove_remains(temporary, descriptor)
                _let_go(lock, descriptor)


def _let_go(lock: Path, descriptor: int) -> None:
    with contextlib.suppress(OSError):
        lock.unlink()
    os.close(descriptor)
