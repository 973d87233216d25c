"""What an AOT artifact can be built for.

The invariant: a target says everything that the compiler must know of the machine that will run the
artifact; but for `native` nothing is taken from the machine that builds. This module imports no torch.

>>> find_target("x86-64-v3").inductor_options()
{'cpp.march': 'x86-64-v3', 'cpp.simdlen': 256}
>>> find_target("cuda-sm_90").architecture
'sm_90'
>>> best_target(["x86-64-v2", "x86-64-v3", "x86-64-v4"], level=3)
'x86-64-v3'
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from soaflow.cpu import Cpu, level_name, this_cpu
from soaflow.errors import TargetError
from soaflow.gpu import gpu_architectures

FAT = "fat"
"""Stands for the target in the name of an artifact that holds several."""


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of machine.

    Parameters
    ----------
    name
        As the configuration and file names have it.
    device
        `"cpu"` or `"cuda"`.
    level
        Of x86-64; None for the CPU of the building machine, whatever it can do.
    simdlen
        Bits of the vector registers to use, 1 for none; None for the widest of the building machine.
    kernels
        What torch's own kernels and oneDNN may use while they prepare weights for the target, as they
        read it from their environment when torch is imported.
    architecture
        Of a GPU, such as `"sm_90"`; empty for a CPU.
    """

    name: str
    device: str = "cpu"
    level: int | None = None
    simdlen: int | None = None
    kernels: tuple[tuple[str, str], ...] = ()
    architecture: str = ""

    @property
    def march(self) -> str | None:
        """The compiler's `-march`; None for that of the building machine."""
        return None if self.level is None else level_name(self.level)

    def inductor_options(self) -> dict[str, str | int | None]:
        """Return the target as settings of `torch._inductor.config`; none for what is left to it."""
        return {} if self.level is None else {"cpp.march": self.march, "cpp.simdlen": self.simdlen}

    def build_environment(self) -> dict[str, str]:
        """Return what must be in the environment of the building process before it imports torch."""
        return dict(self.kernels)


def _x86_64(level: int, simdlen: int, onednn: str, torch: str) -> Target:
    kernels = (("ONEDNN_MAX_CPU_ISA", onednn), ("ATEN_CPU_CAPABILITY", torch))
    return Target(level_name(level), level=level, simdlen=simdlen, kernels=kernels)


NATIVE = "native"
"""The target that stands for the CPU of the machine that exports."""

CPU_TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target(NATIVE),
        _x86_64(2, 1, "SSE41", "default"),
        _x86_64(3, 256, "AVX2", "avx2"),
        _x86_64(4, 512, "AVX512_CORE", "avx512"),
    )
}
"""Targets for a CPU, by name."""

SAME_BITS_FROM = 3
"""The lowest level of x86-64 whose artifacts in the profile `reproducible` give their bits on every CPU."""

CUDA_PATTERN = r"cuda-sm_\d+[a-z]?"
"""The names of targets for a GPU, each of one architecture."""


def find_target(name: str) -> Target:
    """Return a target by name.

    Raises
    ------
    TargetError
        If there is no such target.
    """
    if name in CPU_TARGETS:
        return CPU_TARGETS[name]
    if re.fullmatch(CUDA_PATTERN, name):
        return Target(name, device="cuda", architecture=name.removeprefix("cuda-"))
    raise TargetError(
        f"there is no target '{name}': choose one of {', '.join(CPU_TARGETS)}, or cuda with its "
        "architecture, such as cuda-sm_90"
    )


def levels_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return those targets that are levels of x86-64, which a loader can choose from, lowest first."""
    return tuple(target.name for target in CPU_TARGETS.values() if target.level and target.name in set(names))


def require_buildable(
    target: Target, *, cpu: Cpu | None = None, architectures: Iterable[str] | None = None
) -> None:
    """Check that this machine can build and check artifacts for a target.

    Parameters
    ----------
    target
        To build for; every target of a lower level than the CPU's can be built.
    cpu, architectures
        Of this machine's CPU and GPUs, which are looked at unless given.

    Raises
    ------
    TargetError
        If the CPU is below the target's level, or no GPU has its architecture.
    """
    if target.device == "cuda":
        found = tuple(gpu_architectures() if architectures is None else architectures)
        if target.architecture not in found:
            shows = f"shows {', '.join(found)}" if found else "shows no NVIDIA GPU"
            raise TargetError(
                f"target {target.name} needs a GPU of {target.architecture}, and this machine {shows}: "
                "build on a machine that has one, or choose another target"
            )
        return
    cpu = cpu or this_cpu()
    if target.level is not None and cpu.level < target.level:
        raise TargetError(
            f"target {target.name} is above what the CPU of this machine supports, {cpu.describe()}: "
            f"build on a machine that supports {target.name}, or choose a lower target"
        )


def best_target(names: Iterable[str], level: int) -> str | None:
    """Return the target of the highest level that a CPU of `level` supports, or None."""
    fitting = [name for name in levels_of(names) if (find_target(name).level or 0) <= level]
    return fitting[-1] if fitting else None
