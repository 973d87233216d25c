"""Faults of one job: it is killed, finds no room, or reads a file that is cut short or changes under way.

Each attack starts the job in a copy of the finished run, does the harm, and says whether it came in time. The
caller looks at the files, lets the job run again undisturbed, and looks again.
"""

import contextlib
import mmap
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

from faults.jobs import AT_A_STEP, FILES_LIMITED, Job, descendants, state_of_process
from faults.outcomes import require
from faults.warm import WarmServer

PATIENCE = 300
"""Seconds after which a job that does not end is a fault of its own."""

PAGE = mmap.PAGESIZE

ENDED = "soaflow: error: the job was ended from outside"
CHANGED = ("was changed while it was read", "was replaced or cut short while the job read it")


@dataclass(frozen=True)
class Scene:
    """A copy of a finished run in which a job is attacked.

    Parameters
    ----------
    undisturbed, folder
        The finished run, and the copy.
    job
        The one that is attacked.
    rng
        Decides what is left to chance.
    seconds
        What the job took undisturbed.
    cache
        Of compiled packages.
    server
        Starts the jobs, warm; None to start each as a new process.
    """

    undisturbed: Path
    folder: Path
    job: Job
    rng: Random
    seconds: float
    cache: Path
    server: WarmServer | None = None

    def start(self, first=""):
        return self.job.start(self.folder, first, cache=self.cache, server=self.server)

    def chosen_input(self):
        return self.folder / self.rng.choice(self.job.inputs)

    def undisturbed_outputs(self):
        return [self.undisturbed / path for path in self.job.outputs]

    def sometimes_remove_outputs(self):
        """Snakemake removes what is there before a job; other callers do not."""
        if self.rng.random() < 0.7:
            self.job.remove_outputs(self.folder)


def size_of(path):
    return path.stat().st_size if path.exists() else 0


def ended(process):
    """The exit code and the screen of a job that has ended, its last words included."""
    _, screen = process.communicate(timeout=PATIENCE)
    return process.returncode, screen


def is_spoken_for(process):
    """Tell whether the shell that speaks for a job is there already: nothing is read before."""
    return any(_program(pid) == "/bin/sh" for pid in descendants(process.pid))


def _program(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except OSError:
        return ""


def at_a_rename(scene):
    """A kill just before or after one of the job's outputs gets its name."""
    return AT_A_STEP.format(
        step="replace",
        number=scene.rng.randint(1, len(scene.job.outputs)),
        before=scene.rng.random() < 0.5,
        signal_number=int(signal.SIGKILL),
    )


def before_the_last_look(scene):
    """A stop when all of an output is written, and the inputs are not yet looked at again."""
    number = scene.rng.randint(1, len(scene.job.outputs))
    return AT_A_STEP.format(step="fsync", number=number, before=True, signal_number=int(signal.SIGSTOP))


def wait_at_random(scene, process):
    """Wait for a part of the job's time; return at once when it ends."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(scene.rng.uniform(0.0, 1.0) * scene.seconds)


def kill(scene):
    """Kill -9 at any time, or where it hurts most: between the names of two outputs."""
    scene.sometimes_remove_outputs()
    if scene.rng.random() < 0.5:
        process, spoken_for = scene.start(at_a_rename(scene)), True
    else:
        process = scene.start()
        wait_at_random(scene, process)
        spoken_for = is_spoken_for(process)
        process.kill()
    code, screen = ended(process)
    if code != -signal.SIGKILL:
        return False
    if spoken_for:
        require(ENDED in screen and "run the same command again" in screen, "no last words:", screen)
    return True


def fill_disk(scene):
    """A disk with too little room, or a limit on the size of files where no disk may be mounted."""
    scene.sometimes_remove_outputs()
    sizes = [size_of(path) for path in scene.undisturbed_outputs()]
    with small_disk(scene, scene.rng.randrange(sum(map(pages, sizes)))) as mounted:
        limit = "" if mounted else FILES_LIMITED.format(largest=scene.rng.randrange(max(sizes)))
        code, screen = ended(scene.start(limit))
    if code == 0:
        return False
    require(code == 2, "exit code", code, screen)
    require("soaflow: error: " in screen and "free space" in screen, "no sentence:", screen)
    return True


@contextlib.contextmanager
def small_disk(scene, free_pages):
    """Put the first output's folder on a disk with so many pages of room besides what is there."""
    place = (scene.folder / scene.job.outputs[0]).parent
    held = contents(place)
    size = sum(pages(len(content)) for content in held.values()) + free_pages
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size * PAGE}", "tmpfs", str(place)]
    mountable = size and all(path.is_file() for path in place.iterdir())
    if not mountable or subprocess.run(mount, capture_output=True, check=False).returncode:
        yield False
        return
    try:
        put(place, held)
        yield True
        after = contents(place)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
    for name in held:
        (place / name).unlink()
    put(place, after)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def put(folder, files):
    for name, content in files.items():
        (folder / name).write_bytes(content)


def pages(size):
    return -(-size // PAGE)


def cut_input(scene):
    """An input that is cut short before the job starts."""
    path = scene.chosen_input()
    held = path.read_bytes()
    scene.sometimes_remove_outputs()
    path.write_bytes(held[: scene.rng.randrange(len(held))])
    code, screen = ended(scene.start())
    path.write_bytes(held)
    if code == 0:
        return False  # what was cut carries nothing, as a final line feed; the caller compares the outputs
    require(code == 2, "exit code", code, screen)
    require("soaflow: error: " in screen and path.name in screen, path.name, "is not named:", screen)
    return True


def change_input(scene):
    """An input that is replaced, rewritten or cut while the job has it open."""
    path = scene.chosen_input()
    held = path.read_bytes()
    scene.job.remove_outputs(scene.folder)
    certain = scene.rng.random() < 0.4
    process = stopped_in_the_middle(scene, certain)
    if process is None:
        return False
    change(path, held, scene.rng)
    os.kill(process.pid, signal.SIGCONT)
    code, screen = ended(process)
    path.write_bytes(held)
    if code == 0 and not certain:
        return False  # all was read before; the caller compares the outputs
    require(code != 0, "made of an input that changed under way:", path)
    require(path.name in screen and any(words in screen for words in CHANGED), path.name, screen)
    require("run the same command again" in screen, "no remedy:", screen)
    return True


def stopped_in_the_middle(scene, before_last_look):
    """Stop a new job once it reads: before it looks again, or at any time; None if it ended."""
    process = scene.start(before_the_last_look(scene) if before_last_look else "")
    while process.poll() is None and not is_spoken_for(process):
        time.sleep(0.002)
    if not before_last_look:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(scene.rng.uniform(0.0, 0.7) * scene.seconds)
        if process.poll() is None:
            process.send_signal(signal.SIGSTOP)
    while process.poll() is None and state_of_process(process.pid) != "T":
        time.sleep(0.002)
    if process.returncode is None:
        return process
    ended(process)
    return None


def change(path, held, rng):
    """Replace a file, write other bytes into it, or cut it."""
    other = bytes(byte ^ 0xFF for byte in held)
    kind = rng.choice(["replace", "rewrite", "cut"])
    if kind == "replace":
        new = path.with_name(f"new-{path.name}")
        new.write_bytes(other)
        new.replace(path)
    elif kind == "rewrite":
        with path.open("r+b") as stream:
            stream.write(other)
    else:
        os.truncate(path, rng.randrange(len(held)))


def write_twice(scene):
    """Two jobs for the same outputs at once, one of which may be killed."""
    scene.sometimes_remove_outputs()
    first = scene.start()
    wait_at_random(scene, first)
    second = scene.start()
    together = first.poll() is None
    if killed := scene.rng.random() < 0.5:
        wait_at_random(scene, second)
        first.kill()
    codes = [ended(process) for process in (first, second)]
    require(codes[1][0] == 0, "the second writer failed:", codes[1][1])
    require(codes[0][0] == 0 or killed, "the first writer failed:", codes[0][1])
    return together


ATTACKS = {
    "job killed": kill,
    "disk full": fill_disk,
    "input cut": cut_input,
    "input changed under way": change_input,
    "two writers": write_twice,
}
NEED_INPUTS = ("input cut", "input changed under way")
TELLS_OF = {("write_provenance", "input cut")}
"""Faults that a rule records and does not fail on: that a file is no longer as its job left it."""
