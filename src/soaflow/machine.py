"""What a measured time depends on besides the code: the machine, and what else it was doing.

The invariant: everything is read from the kernel and from installed packages' metadata, nothing is imported
or run for it, and what cannot be read is empty and not guessed. No name of a host or a path is in it.

>>> machine = this_machine()
>>> machine.cores >= 1, len(machine.flags_sha256)
(True, 64)
"""

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from soaflow.cpu import this_cpu

_PACKAGES = ("torch", "onnxruntime", "numpy")


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that a time was measured on.

    Parameters
    ----------
    cpu
        Name of its model and level of x86-64.
    flags_sha256
        Of the sorted names of all features that the kernel lists of the CPU.
    virtual
        Whether the CPU says that it is a hypervisor's, whose neighbours nobody sees.
    cores
        That this process may use.
    caches
        Of the first core, each as `L2 1024K, shared by 1`.
    governor
        Of the first core's frequency, such as `performance`.
    kernel, c_library, python
        Their versions.
    packages
        Name and version of each that computes, of those that are installed.
    """

    cpu: str
    flags_sha256: str
    virtual: bool
    cores: int
    caches: tuple[str, ...]
    governor: str
    kernel: str
    c_library: str
    python: str
    packages: dict[str, str]

    def to_mapping(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**asdict(self), "caches": list(self.caches)}


def this_machine(root: Path = Path("/")) -> Machine:
    """Return this machine.

    Parameters
    ----------
    root
        Where `proc` and `sys` are.
    """
    core = root / "sys/devices/system/cpu/cpu0"
    flags = _flags(_text(root / "proc/cpuinfo"))
    return Machine(
        cpu=this_cpu().describe(),
        flags_sha256=hashlib.sha256(" ".join(flags).encode()).hexdigest(),
        virtual="hypervisor" in flags,
        cores=len(os.sched_getaffinity(0)),
        caches=tuple(map(_cache, sorted(core.glob("cache/index*")))),
        governor=_text(core / "cpufreq/scaling_governor"),
        kernel=f"{platform.system()} {platform.release()}",
        c_library=" ".join(platform.libc_ver()),
        python=platform.python_version(),
        packages=_installed_packages(),
    )


def _installed_packages() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _flags(text: str) -> list[str]:
    lines = (line.partition(":") for line in text.splitlines())
    return next(
        (sorted(value.split()) for key, _, value in lines if key.strip() in ("flags", "Features")), []
    )


def _cache(folder: Path) -> str:
    level, kind, size = (_text(folder / name) for name in ("level", "type", "size"))
    kinds = {"Data": "d", "Instruction": "i"}
    return f"L{level}{kinds.get(kind, '')} {size}, shared by {_counted(_text(folder / 'shared_cpu_list'))}"


def _counted(ranges: str) -> int:
    """Return how many numbers a list of ranges names.

    >>> _counted("0-3,8"), _counted("0")
    (5, 1)
    """
    ends = [part.split("-") for part in ranges.split(",") if part]
    return sum(int(pair[-1]) - int(pair[0]) + 1 for pair in ends)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Load:
    """What the machine was doing until now, or between two readings.

    Parameters
    ----------
    load_average
        Of the last minute, at the end.
    wall_seconds
        That passed.
    own_seconds
        CPU time of this process.
    busy_seconds
        CPU time of everything on the machine as far as this process sees it, its own included.
    stolen_seconds
        That a hypervisor gave to others while this machine wanted to run.
    """

    load_average: float
    wall_seconds: float
    own_seconds: float
    busy_seconds: float
    stolen_seconds: float

    @classmethod
    def now(cls, root: Path = Path("/")) -> Self:
        """Read the counters.

        Source: the first line of proc_stat(5), in clock ticks: user, nice, system, idle, iowait, irq,
        softirq, steal.
        """
        ticks = os.sysconf("SC_CLK_TCK")
        counted = [int(value) / ticks for value in _text(root / "proc/stat").splitlines()[0].split()[1:9]]
        user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = counted
        return cls(
            os.getloadavg()[0],
            time.monotonic(),
            time.process_time(),
            user + nice + system + interrupts + soft_interrupts,
            stolen,
        )

    def since(self, earlier: "Load") -> "Load":
        """Return what has passed since an earlier reading by the same process."""
        return Load(
            self.load_average,
            self.wall_seconds - earlier.wall_seconds,
            self.own_seconds - earlier.own_seconds,
            max(0.0, self.busy_seconds - earlier.busy_seconds),
            max(0.0, self.stolen_seconds - earlier.stolen_seconds),
        )

    @property
    def others_cores(self) -> float:
        """How many cores other processes kept busy on average."""
        return (
            max(0.0, self.busy_seconds - self.own_seconds) / self.wall_seconds if self.wall_seconds else 0.0
        )

    def to_mapping(self) -> dict[str, Any]:
        """Return the fields as JSON values, with the derived figure."""
        return {**asdict(self), "others_cores": self.others_cores}
