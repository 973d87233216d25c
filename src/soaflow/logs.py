"""A job's whole output in its log file, and one clear sentence on the screen when the user can mend it."""

import errno
import faulthandler
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from soaflow.errors import SoaflowError
from soaflow.inputs import reading, states_read
from soaflow.last_words import spoken_for

USER_ERROR_EXIT_CODE = 2


@contextmanager
def job_log(path: Path | str, inputs: Iterable[str] = ()) -> Iterator[TextIO]:
    """Send everything that the process writes, C and C++ libraries included, to a log file.

    Parameters
    ----------
    path
        The log; written anew.
    inputs
        Files that the job reads. Once one has changed, no output appears.

    Yields
    ------
    TextIO
        The standard error as it was before.

    Raises
    ------
    SystemExit
        With code 2 and one sentence in the log and on the screen for a `SoaflowError`; with code 1,
        the traceback in the log and the log's path on the screen for any other error. Of a process that
        is killed or crashes another one says it; see `soaflow.last_words`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    with os.fdopen(os.dup(2), "w", encoding="utf-8") as screen, path.open("w", encoding="utf-8") as log:
        saved = os.dup(1), os.dup(2)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            with (
                reading(inputs),
                _crashes_in(log),
                spoken_for(path, states_read(), screen),
            ):
                yield screen
        except SoaflowError as error:
            message = f"soaflow: error: {error}"
            say(message, screen)
            _write_if_there_is_room(message + "\n")
            raise SystemExit(USER_ERROR_EXIT_CODE) from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                say(f"soaflow: error: there is no room for {path}: free space", screen)
                raise SystemExit(USER_ERROR_EXIT_CODE) from error
            say(f"soaflow: {type(error).__name__}, most likely a bug: see {path}", screen)
            _write_if_there_is_room(traceback.format_exc())
            raise SystemExit(1) from error
        finally:
            for saved_descriptor, descriptor, stream in zip(
                saved, (1, 2), (sys.stdout, sys.stderr), strict=True
            ):
                _flush_or_discard(stream, descriptor)
                os.dup2(saved_descriptor, descriptor)
                os.close(saved_descriptor)


def say(message: str, screen: TextIO) -> None:
    """Write a line on the screen; on a terminal in place of a line of progress, which is drawn again."""
    print(f"\r\x1b[K{message}" if screen.isatty() else message, file=screen)


@contextmanager
def _crashes_in(log: TextIO) -> Iterator[None]:
    """Let a crash of a library leave the Python functions that led to it in the log."""
    if faulthandler.is_enabled():
        yield
        return
    faulthandler.enable(log)
    try:
        yield
    finally:
        faulthandler.disable()


def _write_if_there_is_room(text: str) -> None:
    """Write to the log, past Python's buffers: what matters is on the screen already."""
    _flush_or_discard(sys.stdout, 1)
    with suppress(OSError):
        os.write(2, text.encode())


def _flush_or_discard(stream: TextIO, descriptor: int) -> None:
    """Empty a stream's buffer, which would otherwise reach the screen later if the log's disk is full."""
    try:
        stream.flush()
    except OSError:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), descriptor)
            stream.flush()
