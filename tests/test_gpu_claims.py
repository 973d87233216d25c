"""Claims on GPUs by processes that know nothing of each other, where the GPUs are a fake driver's."""

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from soaflow import gpu_claims
from soaflow.errors import DeviceError
from soaflow.gpu import Gpu
from soaflow.gpu_claims import claimed_gpu

JOB = """
import sys
from pathlib import Path
import fake_gpus
from soaflow import gpu
from soaflow.gpu_claims import claimed_gpu
name, shared, folder = sys.argv[1], sys.argv[2] == "shared", Path(sys.argv[3])
gpu.ctypes.CDLL = getattr(fake_gpus, sys.argv[4])
with claimed_gpu(gpu.gpus(), asked_by=f"job {name}", folder=folder, shared=shared) as claimed:
    print("has", claimed.identity[-1], "as", claimed.number, flush=True)
    sys.stdin.read()
"""

GPUS = (Gpu(0, "sm_90", "GPU-0"), Gpu(1, "sm_90", "GPU-1"))


class Job:
    """A process that claims a GPU and keeps it until it is told to end."""

    def __init__(self, name, folder, *, shared=False, visible=None, driver="TwoOfAKind"):
        environment = dict(os.environ)
        environment.pop("CUDA_VISIBLE_DEVICES", None)
        if visible is not None:
            environment["CUDA_VISIBLE_DEVICES"] = visible
        environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        self.process = subprocess.Popen(
            [sys.executable, "-c", JOB, name, "shared" if shared else "alone", folder, driver],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def says(self):
        return self.process.stdout.readline().strip()

    def ends(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=30) == 0
        self.process.stdout.close()

    def is_killed(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def job(tmp_path):
    started = []

    def start(name, **how):
        started.append(Job(name, tmp_path, **how))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.is_killed()


def test_jobs_never_meet_on_a_gpu_and_one_too_many_waits(job):
    first, second = job("a"), None
    assert first.says() == "has 0 as 0"
    second = job("b")
    assert second.says() == "has 1 as 1"
    third = job("c")
    assert third.says() == "job c waits: all 2 GPUs are claimed by other jobs"
    second.ends()
    assert third.says() == "has 1 as 1"
    third.ends()
    first.ends()


def test_the_claim_of_a_killed_job_goes_with_it(job):
    first = job("a", visible="0")
    assert first.says() == "has 0 as 0"
    waiting = job("b", visible="0")
    assert waiting.says() == "job b waits: the one GPU that it may use is claimed by other jobs"
    first.is_killed()
    assert waiting.says() == "has 0 as 0"


def test_the_gpu_that_is_assigned_is_the_one_that_is_claimed(job):
    assert job("a", visible="1").says() == "has 1 as 0"
    # Who may use both sees that the second one is taken, whatever its number is to the other job.
    assert job("b").says() == "has 0 as 0"
    assert job("c").says() == "job c waits: all 2 GPUs are claimed by other jobs"


def test_jobs_share_a_gpu_only_if_all_on_it_asked_for_that(job):
    assert job("a", shared=True, visible="0").says() == "has 0 as 0"
    assert job("b", shared=True, visible="0").says() == "has 0 as 0"
    assert job("c", visible="0").says() == "job c waits: the one GPU that it may use is claimed by other jobs"
    # A free one is taken before one is shared.
    assert job("d", shared=True).says() == "has 1 as 1"
    assert job("e", shared=True).says() == "has 0 as 0"


def test_who_shares_waits_for_who_does_not(job):
    assert job("a", visible="0").says() == "has 0 as 0"
    assert job("b", shared=True, visible="0").says() == (
        "job b waits: the one GPU that it may use is claimed by other jobs"
    )


def test_parts_of_a_gpu_are_claimed_one_by_one(job):
    assert job("a", driver="Split", visible="MIG-b").says() == "has b as 0"
    # A process sees one part, whatever else it is given, so this one has the other part for itself.
    assert job("b", driver="Split").says() == "has a as 0"
    assert job("c", driver="Split", visible="MIG-b,MIG-a").says() == (
        "job c waits: the one GPU that it may use is claimed by other jobs"
    )


def test_other_users_can_lock_the_same_file(tmp_path):
    with claimed_gpu(GPUS, asked_by="a", folder=tmp_path):
        (lock,) = tmp_path.iterdir()
        assert stat.S_IMODE(lock.stat().st_mode) == 0o444
    assert lock.exists()


def claim(candidates, folder=None, needed=""):
    with claimed_gpu(candidates, asked_by="variant 'x'", needed=needed, folder=folder):
        pass


def test_a_lock_that_cannot_be_had_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DeviceError, match=r"GPU-0\.lock.*cannot be opened \(Not a directory\)"):
        claim(GPUS, tmp_path / "file")


def test_the_environment_names_the_folder_of_the_claims(tmp_path, monkeypatch):
    (tmp_path / "shared").mkdir()
    monkeypatch.setattr(gpu_claims, "CLAIMS", tmp_path)
    for named in ("", str(tmp_path / "shared")):
        monkeypatch.setenv("SOAFLOW_GPU_CLAIMS", named)
        claim(GPUS[:1])
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*.lock"))] == [
        "shared/soaflow-GPU-0.lock",
        "soaflow-GPU-0.lock",
    ]


@pytest.mark.parametrize("named", ["claims", "/no/such/folder", __file__])
def test_claims_without_a_folder_that_all_jobs_share_are_refused(named, tmp_path, monkeypatch):
    (tmp_path / "claims").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOAFLOW_GPU_CLAIMS", named)
    with pytest.raises(DeviceError, match=r"SOAFLOW_GPU_CLAIMS is '.*', which is not the full path of"):
        claim(GPUS)


def test_a_file_system_that_has_no_such_locks_is_named(tmp_path, monkeypatch):
    def refused(_descriptor, _kind):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(gpu_claims.fcntl, "flock", refused)
    with pytest.raises(DeviceError, match=r"GPU-0\.lock.*cannot be locked \(No locks available\): let its"):
        claim(GPUS, tmp_path)


def test_a_machine_without_a_gpu_that_fits_is_named(tmp_path):
    with pytest.raises(
        DeviceError, match="variant 'x' needs an NVIDIA GPU, and this machine shows none: run"
    ):
        claim((), tmp_path)
    with pytest.raises(DeviceError, match="needs a GPU of sm_90, and"):
        claim((), tmp_path, needed="sm_90")
