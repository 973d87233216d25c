"""One thread a process: the state that every training and inference job sets once, at its start.

The invariant: after `run_single_threaded` torch starts no thread of its own. A numerical library reads
its environment when it is loaded, so whoever starts a process puts `SINGLE_THREAD_VARIABLES` there.

>>> SINGLE_THREAD_VARIABLES["OMP_NUM_THREADS"]
'1'
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

SINGLE_THREAD_VARIABLES: Mapping[str, str] = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""What OpenMP, OpenBLAS and MKL read when they are loaded."""


def run_single_threaded() -> None:
    """Make torch run on the calling thread alone, for the rest of the process.

    A second call changes nothing. Call it before any work in torch.

    Raises
    ------
    RuntimeError
        If torch has already started its inter-op threads, so that it is too late.
    """
    import torch  # noqa: PLC0415  whoever starts a process needs the environment and not torch

    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
    if torch.get_num_interop_threads() != 1:  # torch refuses to be told a second time
        torch.set_num_interop_threads(1)


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Let torch run on the calling thread alone while the block runs, as it does in a job.

    Several threads would wait for one another in calls of few rows, and could give a sum other bits.
    """
    import torch  # noqa: PLC0415  as above

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
