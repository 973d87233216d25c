"""The command line: `soaflow VERB ...`, one module a verb.

The invariant: an error that the user can mend is one sentence on the standard error and exit code 2;
1 means that a verdict failed, and only a bug shows a traceback. A verb's module, and with it whatever
is slow to import, is imported only when that verb runs.
"""

import errno
import importlib
import os
import sys
from collections.abc import Sequence

from soaflow.cli.parser import build_parser
from soaflow.errors import SoaflowError

FINE, VERDICT_FAILED, BAD_USE = 0, 1, 2
"""Exit codes of a verb."""

INTERRUPTED, READER_GONE = 130, 141
"""Exit codes as a shell reports the signals SIGINT and SIGPIPE."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb and return the exit code.

    Parameters
    ----------
    arguments
        Words after `soaflow`; those of the process if None.

    Raises
    ------
    SystemExit
        From `argparse`: with code 2 for wrong arguments, with 0 after `--help` and `--version`.
    """
    parsed = build_parser().parse_args(arguments)
    try:
        verb = importlib.import_module(f"soaflow.cli.{parsed.verb}")
        code: int = verb.run(parsed)
        sys.stdout.flush()
    except SoaflowError as error:
        print(f"soaflow: error: {error}", file=sys.stderr)
        return BAD_USE
    except BrokenPipeError:
        _discard_output()
        return READER_GONE
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _discard_output()
        print("soaflow: error: the disk that the output goes to is full: free space", file=sys.stderr)
        return BAD_USE
    except KeyboardInterrupt:
        print("soaflow: interrupted", file=sys.stderr)
        return INTERRUPTED
    return code


def _discard_output() -> None:
    """Send what is still in the buffer nowhere, because Python would complain of it at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
