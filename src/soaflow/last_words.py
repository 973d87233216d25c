"""Says what ended a job that could not say it itself: a kill, want of memory, a mapped file that was cut.

The invariant: a job that ends before the end of `spoken_for` leaves one sentence with a remedy on the screen
and in its log. A shell that waits beside the job is told when all is well; otherwise it starts this module
as a program, which looks at the job's inputs.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

from soaflow.inputs import FileState, changed_inputs

# A signal to the whole group of processes is for the job; the shell must outlive it.
_WAITING = (
    'trap \'\' HUP INT TERM; read -r word; [ "$word" = done ] || exec "$0" -P -m soaflow.last_words "$@"'
)


@contextlib.contextmanager
def spoken_for(log: Path | str, states: Mapping[str, FileState | None], screen: TextIO) -> Iterator[None]:
    """Let another process speak if this one ends within the block.

    Parameters
    ----------
    log
        Of the job.
    states
        Its inputs as they were at its start.
    screen
        Where the sentence goes, besides the log.
    """
    remembered = os.memfd_create("inputs")
    os.write(remembered, json.dumps(dict(states)).encode())
    library = str(Path(__file__).parents[1])
    waiting = subprocess.Popen(
        ["/bin/sh", "-c", _WAITING, sys.executable, str(log), str(remembered)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=screen,
        pass_fds=[remembered],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([library, *filter(None, [os.environ.get("PYTHONPATH")])]),
        },
    )
    os.close(remembered)
    try:
        yield
    finally:
        waiting.communicate(b"done\n")


def last_words(log: Path | str, states: Mapping[str, FileState | None]) -> str:
    """Return what to say of a job that ended without a word.

    >>> last_words("0.log", {"/nowhere/0.h5": (1, 2, 3, 4)}).split(":")[0]
    '/nowhere/0.h5 was replaced or cut short while the job read it, which may have ended the job'
    """
    if changed := changed_inputs(states):
        return (
            f"{changed[0]} was replaced or cut short while the job read it, which may have ended the job: "
            "put it back or remove it, and run the same command again"
        )
    return (
        "the job was ended from outside (by hand, or for want of memory or time) or crashed, and left "
        "nothing half written: run the same command again, with more memory or time if that was it; "
        f"its log is {log}"
    )


def _main(log: str, remembered: str) -> None:
    with os.fdopen(int(remembered), "rb") as stream:
        stream.seek(0)
        states = {
            path: None if state is None else (state[0], state[1], state[2], state[3])
            for path, state in json.load(stream).items()
        }
    sentence = f"soaflow: error: {last_words(log, states)}\n"
    sys.stderr.write(sentence)
    with contextlib.suppress(OSError), open(log, "a", encoding="utf-8") as stream:
        stream.write(sentence)


if __name__ == "__main__":
    _main(*sys.argv[1:])
