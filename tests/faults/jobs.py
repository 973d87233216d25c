"""Jobs of a finished run, each of which can be started alone, as Snakemake starts it."""

import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from checkouts import REPOSITORY, Checkout

from soaflow.threads import SINGLE_THREAD_VARIABLES

AT_A_STEP = """
import os, signal
def _at_a_step(number, before, signal_number, step=os.{step}):
    seen = 0
    def watched(*arguments):
        nonlocal seen
        seen += 1
        if before and seen == number:
            os.kill(os.getpid(), signal_number)
        step(*arguments)
        if not before and seen == number:
            os.kill(os.getpid(), signal_number)
    os.{step} = watched
_at_a_step({number}, {before}, {signal_number})
"""
"""Sends a signal to the job itself just before or after an output reaches the disk, or gets its name."""

FILES_LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({largest}, {largest}))
"""
"""Lets no file of the job be larger."""


@dataclass(frozen=True)
class Job:
    """One job: its rule, its script, and what Snakemake hands to it."""

    rule: str
    script: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    log: str
    stand_in: bytes

    def start(self, folder, first="", *, cache=None, server=None):
        """Start it in a checkout's folder, alone or from a warm server; `first` is run before the script."""
        (folder / "scratch").mkdir(exist_ok=True)
        for path in (*self.outputs, self.log):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        text = (folder / "workflow/scripts" / Path(self.script).name).read_text()
        program = folder / f"job.{self.rule}.py"
        loaded = f"import pickle; snakemake = pickle.loads({self.stand_in!r})\n"
        program.write_text(f"{first}\n{loaded}{text}")
        if server is not None:
            return server.start(program, folder)
        return subprocess.Popen(
            [sys.executable, str(program)],
            cwd=folder,
            env=job_environment(folder, cache),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def remove_outputs(self, folder):
        """Remove them, as Snakemake does before a job."""
        for path in self.outputs:
            (folder / path).unlink(missing_ok=True)


def checkout_at(folder):
    """A checkout with a library of its own, as `make_checkout` makes them."""
    return Checkout(folder, library=folder / "src")


def job_environment(folder, cache):
    """What Snakemake sets for jobs of one thread, with a folder of the checkout's for temporary files."""
    return {
        **checkout_at(folder).environment(),
        **SINGLE_THREAD_VARIABLES,
        "PYTHONHASHSEED": "0",
        "SOAFLOW_CACHE": str(cache or "off"),
        "TMPDIR": str(folder / "scratch"),
    }


def read_jobs(checkout, targets):
    """The jobs that make the targets of a checkout whose run is finished."""
    path = checkout.folder / "jobs.pickle"
    done = checkout.run([str(REPOSITORY / "tests/faults/describe_jobs.py")], path, *targets)
    assert done.returncode == 0, done.stderr
    return [
        Job(**{**entry, "inputs": tuple(entry["inputs"]), "outputs": tuple(entry["outputs"])})
        for entry in pickle.loads(path.read_bytes())
    ]


def copy_of(finished, folder):
    """A copy of a finished checkout, with the times of its files, as Snakemake goes by them."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(finished, folder, symlinks=True)
    return folder


def descendants(pid):
    """The processes below a process, by process number, in the order of their birth."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found = [pid]
    for one in found:
        found += sorted(child for child, parent in parents.items() if parent == one)
    return found[1:]


def state_of_process(pid):
    """The letter that the kernel gives, such as T for stopped; empty if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def working_in(folder):
    """The processes whose working directory is a folder, but this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if (entry / "cwd").readlink() == folder and state_of_process(entry.name) != "Z":
                    found.append(int(entry.name))
            except OSError:
                continue
    return found
