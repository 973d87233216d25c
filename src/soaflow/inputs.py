"""Files that must stay as they are while a job reads them.

The invariant: within `reading`, no output appears under its name after one of the inputs was replaced,
rewritten or cut, so that nothing is made of one half of the old file and one half of the new.

>>> import tempfile
>>> from pathlib import Path
>>> with tempfile.TemporaryDirectory() as folder:
...     events = Path(folder) / "0.h5"
...     _ = events.write_bytes(b"old")
...     with reading([events]):
...         require_unchanged()
...         _ = events.write_bytes(b"newer")
...         changed_inputs(states_read()) == [str(events)]
...         _ = events.unlink()
True
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType

from soaflow.errors import OutputError, StorageError

FileState = tuple[int, int, int, int]
"""Device, inode, size in bytes, and time of the last change of the content in nanoseconds."""

_read: ContextVar[Mapping[str, FileState | None]] = ContextVar("_read", default=MappingProxyType({}))


def state_of(path: str | os.PathLike[str]) -> FileState | None:
    """Return what changes with a file's content; None if it cannot be opened.

    The file is opened for it, because a network file system only then asks its server.
    """
    try:
        with open(path, "rb") as stream:
            status = os.fstat(stream.fileno())
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def reading(paths: Iterable[str | os.PathLike[str]]) -> Iterator[None]:
    """Let no output appear in the block once one of these files has changed.

    Raises
    ------
    StorageError
        If one has changed and an output was to appear, or the block failed on it.
    """
    states = {**_read.get(), **{os.fspath(path): state_of(path) for path in paths}}
    token = _read.set(states)
    try:
        yield
    except OutputError:
        raise
    except Exception as error:
        if changed := changed_inputs(states):
            raise StorageError(_changed_sentence(changed[0])) from error
        raise
    finally:
        _read.reset(token)


def states_read() -> Mapping[str, FileState | None]:
    """Return the files that are being read, each as it was at first."""
    return _read.get()


def changed_inputs(states: Mapping[str, FileState | None]) -> list[str]:
    """Return the files whose state is no longer the one given."""
    return [path for path, state in states.items() if state_of(path) != state]


def require_unchanged() -> None:
    """Check that the files that are being read are what they were.

    Raises
    ------
    StorageError
        If one has changed.
    """
    if changed := changed_inputs(states_read()):
        raise StorageError(_changed_sentence(changed[0]))


def _changed_sentence(path: str) -> str:
    return (
        f"{path} was changed while it was read, so nothing is written from it: run the same command again "
        "when nothing else writes to it"
    )
