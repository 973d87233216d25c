"""The farm, and a checkout on it whose jobs a test can hold.

Without the farm these tests are skipped, or fail if `$SOAFLOW_SLURM_TESTS` says that it is required.
"""

import os
import shutil
import subprocess

import checkouts
import pytest
import yaml
from slurm.farm import ACTIVE, FARM, RESULTS, TARGET, Gate, copy_of, files_below, submissions


@pytest.fixture(scope="session")
def farm():
    """Slurm as `one-machine up` has started it."""
    found = subprocess.run([FARM, "check"], capture_output=True, text=True, check=False)
    if found.returncode:
        problem = f"{found.stderr.strip()} (`make slurm` starts one and runs these tests)"
        if os.environ.get("SOAFLOW_SLURM_TESTS") == "required":
            pytest.fail(problem)
        pytest.skip(problem)
    return FARM


@pytest.fixture(scope="session")
def prepared(farm, tmp_path_factory):
    """A checkout with events and weights, and a cache of these tests' own, so that Snakemake starts fast."""
    here = farm.parent
    folder = tmp_path_factory.mktemp("slurm") / "prepared"
    checkout = checkouts.make_checkout(folder, yaml.safe_load((here / "config.yaml").read_text()))
    shutil.copy(here / "held_model.py", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOAFLOW_CACHE", str(tmp_path_factory.mktemp("cache")))
        done = checkout.snakemake("results/events/toy/0.h5", "results/weights/Held.pt")
        assert done.returncode == 0, done.stderr
        yield checkout


@pytest.fixture(scope="session")
def expected(prepared, tmp_path_factory):
    """The results of an undisturbed run without Slurm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOAFLOW_HELD", str(tmp_path_factory.mktemp("open")))
        checkout = copy_of(prepared, tmp_path_factory.mktemp("undisturbed") / "checkout")
        done = checkout.snakemake(TARGET)
    assert done.returncode == 0, done.stderr
    found = files_below(checkout.folder, *RESULTS)
    assert len(found) == 3
    return found


@pytest.fixture
def gate(tmp_path, monkeypatch):
    """Holds the jobs of the model; open in the beginning."""
    folder = tmp_path / "gate"
    folder.mkdir()
    monkeypatch.setenv("SOAFLOW_HELD", str(folder))
    gate = Gate(folder)
    yield gate
    gate.open()


@pytest.fixture
def checkout(prepared, gate, tmp_path):
    """A checkout of which inference and comparison are left to run; nothing of it stays on the farm."""
    checkout = copy_of(prepared, tmp_path / "checkout")
    yield checkout
    gate.open()
    left = [one.number for one in submissions(checkout.folder) if one.state in ACTIVE]
    if left:
        subprocess.run(["scancel", *left], check=False)
