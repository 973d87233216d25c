"""Fixtures for more than one part of the tests."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import settings

from soaflow.errors import ExportError
from soaflow.gpu import gpus
from soaflow.targets import find_target
from soaflow.threads import SINGLE_THREAD_VARIABLES

# Jobs that a test runs in this process count its threads, and libraries read this when they are loaded.
os.environ.update(SINGLE_THREAD_VARIABLES)

# How long an example takes says how busy the machine is; a hang is caught by the time limit of the test.
settings.register_profile("soaflow", deadline=None)
settings.load_profile("soaflow")


REQUIRED = "required"
"""The value of a variable of `NEEDS` with which what is missing fails the tests that need it."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test where what its marker needs is missing, or fail it if that is required."""
    for marker, need in NEEDS.items():
        if item.get_closest_marker(marker) is None or not (problem := need.problem()):
            continue
        if os.environ.get(need.variable) == REQUIRED:
            pytest.fail(f"{problem}, and {need.variable} is '{REQUIRED}'", pytrace=False)
        pytest.skip(f"{item.nodeid.partition('[')[0]}: {problem} (`make {need.made_by}` runs it)")


@cache
def _no_gpu() -> str:
    """Return why no GPU can be used; empty if one can."""
    if not gpus():
        return "this machine shows no NVIDIA GPU"
    import torch  # noqa: PLC0415  only where there is a GPU

    return "" if torch.cuda.is_available() else f"torch {torch.__version__} cannot use the GPU"


@cache
def _no_gpu_build() -> str:
    """Return why nothing can be compiled for a GPU here; empty if it can, with or without one."""
    if os.environ.get(NEEDS["gpu_build"].variable) != REQUIRED:
        return "it changes what torch believes in, so it takes a process of its own"
    from soaflow.export.compilation import find_compiler  # noqa: PLC0415  2 s, and for few tests
    from soaflow.export.gpu_build import kernel_facts, require_toolkit  # noqa: PLC0415

    target = find_target("cuda-sm_90")
    try:
        kernel_facts(target)
        require_toolkit(target, find_compiler())
    except ExportError as error:
        return str(error)
    return ""


@dataclass(frozen=True)
class Need:
    """What tests with a marker need that is not everywhere."""

    problem: Callable[[], str]
    variable: str
    made_by: str


NEEDS = {
    "gpu": Need(_no_gpu, "SOAFLOW_GPU_TESTS", "test-gpu"),
    "gpu_build": Need(_no_gpu_build, "SOAFLOW_GPU_BUILD_TESTS", "test-gpu-build"),
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Keep the tests of one folder in one process, so that what they share is built once.

    Workflow tests are kept together by file: each has a run of its own.
    """
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415  only where there are several processes

    class ByFolder(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByFolder(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the workflow tests: the longest ones, so that none is alone at the end."""
    items.sort(key=lambda item: not group_of(item.nodeid).startswith("tests/workflow"))


def group_of(nodeid: str) -> str:
    """Return what is shared by the tests that are run in one process."""
    folders = PurePosixPath(nodeid.partition("::")[0]).parts
    return "/".join(folders[: 3 if folders[1] == "workflow" else 2])


@pytest.fixture(autouse=True, scope="session")
def no_caches() -> Iterator[None]:
    """Keep the user's caches out of every test, and out of every process that a test starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOAFLOW_CACHE", "off")
        yield


@pytest.fixture
def small_disk(tmp_path: Path) -> Callable[[int], AbstractContextManager[Path]]:
    """Mount a disk of so many kilobytes; skipped where the user may not mount.

    What it shows is shown for every user, less directly, with limits of file size.
    """

    @contextlib.contextmanager
    def mounted(kilobytes: int, options: str = "rw") -> Iterator[Path]:
        folder = tmp_path / "disk"
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,{options}", "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("only a user who may mount can try a full disk")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)

    return mounted
