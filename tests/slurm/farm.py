"""What tests ask of Slurm, and of a Snakemake that submits to it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from checkouts import REPOSITORY, Checkout
from interrupting import INTERRUPTIBLE

FARM = REPOSITORY / "tests/slurm/one-machine"
STATE = Path(os.environ.get("SOAFLOW_SLURM", "/tmp/soaflow-slurm"))
PROFILE = "profiles/slurm-without-accounting"
TARGET = "results/differences/toy/0/Held.eager.json"
RESULTS = ("results/predictions/toy/0/*.h5", "results/differences/**/*.json")
BUILD_CACHE = os.environ.get("SOAFLOW_CACHE")
"""As the user has it, read before the tests turn it off."""

ACTIVE = {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING"}


def slurm(*command: str) -> str:
    """What one of Slurm's commands prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def wait_until(condition: Callable[[], object], what: str, seconds: float = 240) -> None:
    """Look ten times a second, and fail with what was waited for."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"after {seconds} s, still not: {what}"
        time.sleep(0.1)


@dataclass(frozen=True)
class Submission:
    """A record of Slurm's controller."""

    fields: dict[str, str]

    @property
    def number(self) -> str:
        return self.fields["JobId"]

    @property
    def state(self) -> str:
        return self.fields["JobState"]

    @property
    def node(self) -> str:
        return self.fields["NodeList"]

    @property
    def cores(self) -> int:
        return int(self.fields["NumCPUs"])

    @property
    def megabytes(self) -> int:
        number, unit = re.fullmatch(r"(\d+)([MG])", self.fields["MinMemoryNode"]).groups()
        return int(number) * {"M": 1, "G": 1024}[unit]


def submissions(folder: Path) -> list[Submission]:
    """All that was submitted from a folder, in order, as far as Slurm remembers."""
    lines = slurm("scontrol", "show", "job", "--details", "--oneliner").splitlines()
    records = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines]
    mine = [Submission(fields) for fields in records if fields.get("WorkDir") == str(folder)]
    return sorted(mine, key=lambda submission: int(submission.number))


@dataclass(frozen=True)
class Gate:
    """The folder through which a test holds and fails the jobs of the model `Held`."""

    folder: Path

    def hold(self) -> None:
        self.folder.joinpath("hold").touch()

    def open(self) -> None:
        self.folder.joinpath("hold").unlink(missing_ok=True)

    def breaks(self) -> None:
        self.folder.joinpath("broken").touch()

    def mend(self) -> None:
        self.folder.joinpath("broken").unlink()

    def reached(self) -> set[str]:
        """The numbers of the submissions whose model was called."""
        return {path.suffix.removeprefix(".") for path in self.folder.glob("reached.*")}


class Snakemake:
    """A Snakemake in a checkout that submits to Slurm, and what it showed on its screen."""

    def __init__(
        self, checkout: Checkout, *arguments: str, profile: str = PROFILE, polling: int = 1, **environment
    ):
        self.screen_path = checkout.folder / f"screen.{time.monotonic_ns()}.txt"
        command = [
            *INTERRUPTIBLE,
            sys.executable,
            "-m",
            "snakemake",
            "--workflow-profile",
            profile,
        ]
        command += ["--slurm-init-seconds-before-status-checks", str(polling), *arguments]
        with self.screen_path.open("w") as screen:
            self.process = subprocess.Popen(
                command,
                cwd=checkout.folder,
                env={**checkout.environment(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def screen(self) -> str:
        return self.screen_path.read_text()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ends(self, seconds: float = 300) -> int:
        """The exit status, once it is there."""
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"snakemake did not end in {seconds} s:\n{self.screen}") from None


def kill_node(node: str) -> int:
    """Kill the daemon of a node and all that runs there, as a power cut does; how many processes it were."""
    daemon = psutil.Process(int((STATE / f"run/slurmd-{node}.pid").read_text()))
    doomed = [daemon] + [process for process in psutil.process_iter() if _runs_on(process, node)]
    for process in doomed:
        process.kill()
    return len(doomed)


def _runs_on(process: psutil.Process, node: str) -> bool:
    """Whether a process is of a job on the node: a step's daemon, or what has the node's name from it."""
    try:
        if process.name() == "slurmstepd":
            return any(_runs_on(child, node) for child in process.children())
        return process.environ().get("SLURMD_NODENAME") == node
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return False


def copy_of(checkout: Checkout, folder: Path) -> Checkout:
    """A copy with the times of its files and Snakemake's memory of them."""
    shutil.copytree(checkout.folder, folder, symlinks=True)
    return Checkout(folder, library=folder / "src")


def files_below(folder: Path, *patterns: str) -> dict[str, bytes]:
    """The bytes of every file, by path, but for the hidden ones that killed jobs have left half written."""
    paths = sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in paths if not path.name.startswith(".")
    }


def documented_commands(heading: str) -> str:
    """The commands that docs/batch.md gives below a heading."""
    text = (REPOSITORY / "docs/batch.md").read_text()
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line.removeprefix("    ") for line in section.splitlines() if line.startswith("    ")]
    return "\n".join(lines)
