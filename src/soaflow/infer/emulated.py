"""An artifact run on another CPU than this machine's, which an emulator stands in for.

The invariant: the artifact is loaded and called as a job calls it, with views of the mapped file, in a
process that sees the emulated CPU alone. What an instruction beyond that CPU does there, it does on a real
one: it ends the process. An emulator has threads and memory of its own, so there is no proof of these.

The emulator is qemu-user: https://www.qemu.org/docs/master/user/main.html
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from soaflow.errors import PortabilityError
from soaflow.files import replacing
from soaflow.threads import SINGLE_THREAD_VARIABLES

EMULATED_CPUS: Mapping[str, str] = {"x86-64-v2": "Nehalem", "x86-64-v3": "Haswell"}
"""The CPU that stands for a level, by target: the first of its level. Qemu emulates none with AVX-512."""

EMULATOR = "qemu-x86_64"

_NOISE = re.compile(r"^(qemu-x86_64: warning: TCG doesn't support .*|\s*)$")
_ILLEGAL_INSTRUCTION = re.compile(r"uncaught target signal 4\b")


def run_emulated(
    artifact: Path | str, events: Path | str, predictions: Path | str, *, cpu: str, accept_cpu: bool = False
) -> None:
    """Run an artifact over the first rows of an events file on an emulated CPU, and write its predictions.

    Parameters
    ----------
    artifact
        Its passport lies beside it.
    events
        The file to read.
    predictions
        The file to write.
    cpu
        As the emulator knows it, such as `"Haswell"`.
    accept_cpu
        Run it although its passport says that this CPU lacks instructions.

    Raises
    ------
    PortabilityError
        If the emulator is not installed, or the artifact does not run.
    OutputError
        If the predictions cannot be written.
    """
    emulator = shutil.which(EMULATOR)
    if emulator is None:
        raise PortabilityError(f"there is no {EMULATOR}: install qemu-user (make portability does)")
    with replacing(predictions) as temporary:
        child = [sys.executable, "-m", "soaflow.infer.unproven"]
        options = ["--accept-cpu"] if accept_cpu else []
        files = [str(Path(path).absolute()) for path in (artifact, events, temporary)]
        done = subprocess.run(
            [emulator, "-cpu", cpu, *child, *options, *files],
            env={**os.environ, **SINGLE_THREAD_VARIABLES},
            capture_output=True,
            text=True,
            check=False,
        )
        said = [line for line in done.stderr.splitlines() if not _NOISE.match(line)]
        print(*said, sep="\n", file=sys.stderr)
        if done.returncode:
            raise PortabilityError(
                f"{artifact} does not run on an emulated {cpu}: {_reason(done.returncode, said)}"
            )


def _reason(code: int, said: list[str]) -> str:
    last = said[-1] if said else f"it ended with code {code}"
    if code == -signal.SIGILL or any(_ILLEGAL_INSTRUCTION.search(line) for line in said):
        return "it has an instruction that this CPU lacks, so build it for a lower target"
    return last.removeprefix("soaflow: error: ")
