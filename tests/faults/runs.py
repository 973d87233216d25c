"""Faults of a whole run: Snakemake is killed, or started twice, or a job is killed below it.

Each asks a copy of the finished run for one stage's outputs again, does the harm, and says whether it came in
time. What is typed afterwards is what a user types: the same command, after `--unlock` where the message
asks for it.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

from faults.attacks import ENDED, PATIENCE
from faults.jobs import Job, checkout_at, descendants, state_of_process, working_in
from faults.outcomes import require

LOCKED = "--unlock"


@dataclass(frozen=True)
class Run:
    """A copy of a finished run, whose jobs of one rule are to run again.

    Parameters
    ----------
    undisturbed, folder
        The finished run, and the copy.
    jobs
        Of one rule.
    rng
        Decides what is left to chance.
    seconds
        What one of the jobs took undisturbed.
    cache
        Of compiled packages.
    """

    undisturbed: Path
    folder: Path
    jobs: tuple[Job, ...]
    rng: Random
    seconds: float
    cache: Path

    def remove_outputs(self):
        for job in self.jobs:
            job.remove_outputs(self.folder)

    def start(self, *options):
        """Snakemake, in a process group of its own."""
        (self.folder / "scratch").mkdir(exist_ok=True)
        targets = [path for job in self.jobs for path in job.outputs]
        with (self.folder / f"screen.{time.monotonic_ns()}").open("w") as screen:
            return subprocess.Popen(
                [sys.executable, "-m", "snakemake", "--cores", "2", *options, *targets],
                cwd=self.folder,
                env={
                    **checkout_at(self.folder).environment(),
                    "SOAFLOW_CACHE": str(self.cache),
                    "TMPDIR": str(self.folder / "scratch"),
                },
                stdout=subprocess.DEVNULL,
                stderr=screen,
                start_new_session=True,
            )

    def said(self):
        """What all of them wrote on the screen."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("screen.*")))

    def wait_for_a_job(self, process):
        """Wait for a job's script, and a part of its time; return whether Snakemake is still at work."""
        wait_for_a_script(process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self.rng.uniform(0.0, 0.3) * self.seconds)
        return process.poll() is None

    def go_on(self):
        """Type the same command again, and `--unlock` where the message says so."""
        first = self.start()
        if first.wait(PATIENCE) == 0:
            return
        require(LOCKED in self.said(), "no remedy:", self.said())
        require(self.start("--unlock").wait(PATIENCE) == 0, "cannot be unlocked:", self.said())
        require(self.start().wait(PATIENCE) == 0, "does not go on:", self.said())

    def wait_for_orphans(self):
        """Wait until no process works in the folder any more."""
        until = time.monotonic() + PATIENCE
        while working_in(self.folder):
            require(time.monotonic() < until, "orphans that do not end")
            time.sleep(0.05)


def wait_for_a_script(process):
    """Wait until a Snakemake has started a job, or has ended."""
    while process.poll() is None and not scripts_below(process.pid):
        time.sleep(0.01)


def scripts_below(pid):
    """The processes of scripts that a Snakemake has started."""
    found = []
    for one in descendants(pid):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{one}/cmdline").read_bytes().split(b"\0")
            if len(words) > 1 and b"python" in words[0] and b".snakemake/scripts" in words[1]:
                found.append(one)
    return found


def kill_snakemake(run):
    """Kill -9 of Snakemake alone: its jobs go on as orphans while the same command is typed again."""
    process = run.start()
    at_work = run.wait_for_a_job(process)
    process.kill()
    process.wait()
    return at_work


def kill_group(run):
    """Kill -9 of Snakemake and all its jobs at once, as when a machine goes down."""
    process = run.start()
    at_work = run.wait_for_a_job(process)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return at_work


def kill_in_the_middle_of_a_record(run):
    """Kill -9 of all, with what Snakemake remembers of the jobs half written."""
    at_work = kill_group(run)
    for path in (run.folder / ".snakemake/metadata").rglob("*"):
        if path.is_file() and (run.rng.random() < 0.2 or path.stat().st_mtime > time.time() - 60):
            os.truncate(path, run.rng.randrange(path.stat().st_size or 1))
    return at_work


def kill_a_job(run):
    """Kill -9 of one job below Snakemake, which reports it, goes on with the others, and fails."""
    process = run.start()
    run.wait_for_a_job(process)
    scripts = scripts_below(process.pid)
    for pid in scripts[:1]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if process.wait(PATIENCE) == 0:
        return False
    require(ENDED in run.said() or "SIGKILL" in run.said(), "no word of the kill:", run.said())
    return True


def start_two(run):
    """Two Snakemakes at once on one folder: the second one is refused in a sentence."""
    first = run.start()
    wait_for_a_script(first)
    with stopped(first):
        locked = any((run.folder / ".snakemake/locks").glob("*.output.lock"))
        refused = run.start().wait(PATIENCE) != 0
    require(first.wait(PATIENCE) == 0, "the first one failed:", run.said())
    require(refused or not locked, "the second one was not refused")
    require(not refused or LOCKED in run.said(), "no remedy:", run.said())
    return refused


@contextlib.contextmanager
def stopped(process):
    """Stop a process, but not its jobs, during the block."""
    process.send_signal(signal.SIGSTOP)
    while process.poll() is None and state_of_process(process.pid) != "T":
        time.sleep(0.002)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def start_two_without_locks(run):
    """Two Snakemakes at once that were told to ignore the lock: either may fail, none may do harm."""
    first = run.start("--nolock")
    at_work = run.wait_for_a_job(first)
    second = run.start("--nolock")
    first.wait(PATIENCE), second.wait(PATIENCE)
    return at_work


RUN_ATTACKS = {
    "job of a run killed": kill_a_job,
    "snakemake killed": kill_snakemake,
    "all processes killed": kill_group,
    "killed, records half written": kill_in_the_middle_of_a_record,
    "two snakemakes": start_two,
    "two snakemakes, no lock": start_two_without_locks,
}
