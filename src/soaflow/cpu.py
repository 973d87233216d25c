"""The CPU of this machine: which level of x86-64 it supports, and which extensions beyond that.

The invariant: what is told holds for this process, so under an emulator it is the emulated CPU. NumPy
asks the CPU itself; the kernel's list, which tells of the real one, is used only where both agree.

Levels are those of the x86-64 psABI: https://gitlab.com/x86-psABIs/x86-64-ABI

>>> level_name(3)
'x86-64-v3'
>>> sorted(extensions_of_level(2) - extensions_of_level(1))
['cx16', 'lahf_lm', 'popcnt', 'sse3', 'sse4_1', 'sse4_2', 'ssse3']
"""

import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

LEVELS = (1, 2, 3, 4)

# The psABI has OSXSAVE, the right to use xgetbv; /proc/cpuinfo has xsave for both.

_ADDED: Mapping[int, tuple[str, ...]] = {
    1: ("cmov", "cx8", "fpu", "fxsr", "mmx", "sse", "sse2"),
    2: ("cx16", "lahf_lm", "popcnt", "sse3", "sse4_1", "sse4_2", "ssse3"),
    3: ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave"),
    4: ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
}


def level_name(level: int) -> str:
    """Return a level's name, as compilers and targets have it."""
    return "x86-64" if level == 1 else f"x86-64-v{level}"


def extensions_of_level(level: int) -> frozenset[str]:
    """Return the instruction-set extensions of a level and of those below it, as Linux names them.

    Two have names that are better known: `sse3` (`pni`) and `lzcnt` (`abm`).
    """
    return frozenset(name for below in LEVELS[:level] for name in _ADDED[below])


@dataclass(frozen=True, slots=True)
class Cpu:
    """What a CPU can do.

    Parameters
    ----------
    model
        Its name, as the kernel has it.
    architecture
        Such as `"x86_64"`.
    level
        The highest level of x86-64 that it supports; 0 on other architectures.
    extensions
        Beyond the level, as Linux names them.
    """

    model: str
    architecture: str
    level: int
    extensions: frozenset[str]

    def missing(self, extensions: Iterable[str]) -> tuple[str, ...]:
        """Return those extensions that it does not support."""
        have = extensions_of_level(self.level) | self.extensions
        return tuple(sorted(set(extensions) - have))

    def describe(self) -> str:
        """Return its name and level as words."""
        what = level_name(self.level) if self.level else self.architecture
        return f"{self.model} ({what})"


@cache
def this_cpu() -> Cpu:
    """Return the CPU that this process sees."""
    model, flags = _kernel_list(Path("/proc/cpuinfo"))
    architecture = platform.machine()
    if architecture != "x86_64":
        return Cpu(model, architecture, 0, frozenset())
    asked = _asked_by_numpy()
    level = max((number for number in LEVELS if asked.get(f"x86v{number}")), default=1)
    supported = {name for name in flags if asked.get(_plain(name), True)}
    emulated = any(not asked.get(_plain(name), True) for name in flags)
    if emulated:
        model = f"emulated on {model}"
        supported = {name for name in flags if asked.get(_plain(name), False)}
    return Cpu(model, architecture, level, frozenset(supported - extensions_of_level(level)))


def _asked_by_numpy() -> dict[str, bool]:
    from numpy._core._multiarray_umath import __cpu_features__  # noqa: PLC0415  0.1 s, and rarely needed

    return {_plain(name): bool(supported) for name, supported in __cpu_features__.items()}


def _kernel_list(path: Path) -> tuple[str, tuple[str, ...]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or "unknown CPU", ()
    model = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.*)$", text, re.MULTILINE)
    return model[1] if model else "unknown CPU", tuple(flags[1].split()) if flags else ()


def _plain(name: str) -> str:
    """Return a name without what kernel and NumPy write differently, as in avx512_vnni and AVX512VNNI."""
    return name.lower().replace("_", "")
