"""Claims on the GPUs of a machine, so that jobs that know nothing of each other never meet on one.

The invariant: a GPU that is claimed is nobody else's, or that of others who share it too. A claim is a lock
of the kernel on a small file named after the GPU, so it goes with its process, however that ends. All users
and all Snakemakes of a machine see the same files; containers may not, and `$SOAFLOW_GPU_CLAIMS` then names a
folder that they share. There are the GPUs to choose from that the driver shows the process: those of
`$CUDA_VISIBLE_DEVICES`, which Slurm sets for a job, or all. Each part of a GPU that is split (MIG) is claimed
as a GPU of its own; nobody sees the whole then, so nobody can claim it beside them.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from soaflow.errors import DeviceError
from soaflow.gpu import Gpu

CLAIMS = Path("/dev/shm")  # noqa: S108  on every Linux the same for all users, in memory, and never shared by machines
"""Folder of the files with the locks, unless the environment names another."""

VARIABLE = "SOAFLOW_GPU_CLAIMS"
"""Environment variable with the full path of a folder for the files with the locks."""

_SECONDS_BETWEEN_LOOKS = 0.5


@contextmanager
def claimed_gpu(
    candidates: Sequence[Gpu],
    *,
    asked_by: str,
    shared: bool = False,
    needed: str = "",
    folder: Path | None = None,
    say: Callable[[str], None] | None = None,
) -> Iterator[Gpu]:
    """Claim the first GPU that is free during the block; while none is, wait.

    Parameters
    ----------
    candidates
        To choose from, the first one first.
    asked_by
        For messages, such as `"variant 'aot_gpu'"`.
    shared
        Whether others that share may have the GPU at the same time; a free one is taken first.
    needed
        Architecture of the candidates, if it must be one, for messages.
    folder
        Of the locks; by default that which `$SOAFLOW_GPU_CLAIMS` names, or else `CLAIMS`.
    say
        Takes the one line that says that the job waits; it is printed unless given.

    Raises
    ------
    DeviceError
        If there is no GPU, or the locks cannot be had.
    """
    folder = folder or _folder_of_claims()
    if not candidates:
        wanted = f"a GPU of {needed}" if needed else "an NVIDIA GPU"
        raise DeviceError(
            f"{asked_by} needs {wanted}, and this machine shows none: run it where there is one, "
            "or on the CPU"
        )
    taken = _first_free(candidates, folder, shared=shared)
    if taken is None:
        waits = f"{asked_by} waits: {_all_of(candidates)} claimed by other jobs"
        say(waits) if say else print(waits, flush=True)
    while taken is None:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        taken = _first_free(candidates, folder, shared=shared)
    gpu, descriptor = taken
    try:
        yield gpu
    finally:
        os.close(descriptor)


def _folder_of_claims() -> Path:
    named = os.environ.get(VARIABLE)
    if not named:
        return CLAIMS
    folder = Path(named)
    # Jobs have different working directories, in each of which a relative path is another folder.
    if not (folder.is_absolute() and folder.is_dir()):
        raise DeviceError(
            f"{VARIABLE} is {named!r}, which is not the full path of a folder: name one that all jobs on the "
            f"GPUs of this machine see and may write to, or unset it for {CLAIMS}"
        )
    return folder


def _all_of(candidates: Sequence[Gpu]) -> str:
    return "the one GPU that it may use is" if len(candidates) == 1 else f"all {len(candidates)} GPUs are"


def _first_free(candidates: Sequence[Gpu], folder: Path, *, shared: bool) -> tuple[Gpu, int] | None:
    """Lock the first GPU that nobody has, or else, to share it, the first that is shared already."""
    for gpu in candidates:
        descriptor = _locked(folder, gpu, fcntl.LOCK_EX)
        if descriptor is not None:
            if shared:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            return gpu, descriptor
    for gpu in candidates if shared else ():
        descriptor = _locked(folder, gpu, fcntl.LOCK_SH)
        if descriptor is not None:
            return gpu, descriptor
    return None


def _locked(folder: Path, gpu: Gpu, kind: int) -> int | None:
    path = folder / f"soaflow-{gpu.identity}.lock"
    descriptor = _opened(path)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno == errno.EWOULDBLOCK:
            return None
        raise _no_claim(path, "locked", error) from error
    return descriptor


def _opened(path: Path) -> int:
    """Open a file for locks that any user may lock; it stays, as removing it could part two that wait."""
    try:
        # The kernel may refuse to open another user's file here in a way that could create it.
        with suppress(FileNotFoundError):
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o444)
            os.fchmod(descriptor, 0o444)
            return descriptor
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise _no_claim(path, "opened", error) from error


def _no_claim(path: Path, what: str, error: OSError) -> DeviceError:
    reason = os.strerror(error.errno or errno.EIO)
    return DeviceError(
        f"{path}, whose lock says who has the GPU, cannot be {what} ({reason}): let its folder be writable "
        f"and not on a network, remove it, or let {VARIABLE} name another folder"
    )
