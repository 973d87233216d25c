"""Fixtures for more than one part of the tests."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import settings

from soaflow.threads import SINGLE_THREAD_VARIABLES

# Jobs that a test runs in this process count its threads, and libraries read this when they are loaded.
os.environ.update(SINGLE_THREAD_VARIABLES)

# How long an example takes says how busy the machine is; a hang is caught by the time limit of the test.
settings.register_profile("soaflow", deadline=None)
settings.load_profile("soaflow")


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in a hook of the same name
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of one folder in one process, so that what they share is built once.

    Workflow tests are kept together by file: each has a run of its own. They are the longest, and come first,
    so that no process is left alone with one of them at the end.
    """
    tests = Path(__file__).parent
    groups = {}
    for item in items:
        inside = item.path.relative_to(tests).parts if item.path.is_relative_to(tests) else ("src",)
        groups[item] = "/".join(inside[:2]) if inside[0] == "workflow" else inside[0]
        item.add_marker(pytest.mark.xdist_group(groups[item]))
    items.sort(key=lambda item: not groups[item].startswith("workflow/"))


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
