"""What a compiled library asks of the machine that loads it: instructions, threads, library versions.

The invariant: the answer comes from the finished file, disassembled by binutils' objdump, and not from
the flags that it was compiled with. Only executable sections are decoded: weights are not code. An
instruction counts whether or not it is ever reached. The library is not loaded, nor is torch.

>>> code = MachineCode(9, ("xmm",), ("avx", "sse3"), (), "2.14", "", ("libc.so.6",))
>>> check_machine_code(code, 3, "the library")
>>> check_machine_code(code, 2, "the library")
Traceback (most recent call last):
soaflow.errors.ExportError: the library needs avx instructions, which x86-64-v2 lacks: compile it with ...
"""

import dataclasses
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soaflow.errors import ExportError
from soaflow.export.instruction_sets import LEVELS, extensions_of

_REGISTERS: Mapping[int, tuple[str, ...]] = {2: ("xmm",), 3: ("xmm", "ymm"), 4: ("xmm", "ymm", "zmm")}
_SIMDLEN: Mapping[int, int] = {2: 1, 3: 256, 4: 512}

_STARTS_THREADS = re.compile(
    r"GOMP_(parallel|task|teams|target)\w*|__kmpc_(fork|omp_task|push_num_t)\w*|omp_set_num_threads_?"
)
_VERSION = re.compile(r"(GLIBC|GLIBCXX)_(\d+(?:\.\d+)*)")
_PREFIXES = re.compile(
    r"^(?:(?:lock|rep\w*|bnd|notrack|data16|addr32|[c-gs]s|rex2?(?:\.\w+)?|xacquire|xrelease|\{\w+\})\s+)+"
)


@dataclass(frozen=True, slots=True)
class MachineCode:
    """What a shared library asks of the machine that loads it.

    Parameters
    ----------
    instructions
        Number of decoded instructions.
    vector_registers
        Those of `xmm`, `ymm` and `zmm` that occur.
    extensions
        Instruction-set extensions beyond the x86-64 baseline that occur, sorted.
    parallel_regions
        Imported OpenMP functions that start threads or set their number, sorted.
    glibc
        Highest version of a glibc symbol needed, such as `"2.34"`; empty if none is.
    glibcxx
        Likewise of the C++ library.
    libraries
        Names of the libraries needed (`DT_NEEDED`), in the file's order.
    """

    instructions: int
    vector_registers: tuple[str, ...]
    extensions: tuple[str, ...]
    parallel_regions: tuple[str, ...]
    glibc: str
    glibcxx: str
    libraries: tuple[str, ...]

    def to_mapping(self) -> dict[str, Any]:
        """Return the fields as JSON takes them: numbers, texts and lists."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }


def read_machine_code(library: Path) -> MachineCode:
    """Disassemble a shared library for x86-64 and read its imports.

    Parameters
    ----------
    library
        Of the ELF format. It is not loaded.

    Raises
    ------
    ExportError
        If there is no objdump, or the file is no shared library for x86-64 with code in it.
    """
    parallel_regions, versions, libraries = _read_imports(library)
    instructions = 0
    registers: set[str] = set()
    extensions: set[str] = set()
    with _objdump(library, "-d", "-w", "-M", "att") as lines:
        for code, text in _instructions(lines):
            instructions += 1
            mnemonic, _, operands = text.partition(" ")
            if "mm" in operands:
                registers.update(re.findall(r"%([xyz]mm)", operands))
            extensions.update(extensions_of(code, mnemonic, operands.lstrip()))
    if instructions == 0:
        raise ExportError(f"{library} has no machine code: it is no finished shared library, build it again")
    return MachineCode(
        instructions,
        tuple(sorted(registers)),
        tuple(sorted(extensions)),
        parallel_regions,
        _highest(versions["GLIBC"]),
        _highest(versions["GLIBCXX"]),
        libraries,
    )


def check_machine_code(code: MachineCode, level: int | None, what: str) -> None:
    """Refuse code that asks more of a machine than its target has, or that starts threads.

    Parameters
    ----------
    code
        Of the library.
    level
        2, 3 or 4 of x86-64; None where any extension may occur.
    what
        Is checked, for errors.

    Raises
    ------
    ExportError
        If the code starts threads or has a register or an extension that the level has not.
    """
    if code.parallel_regions:
        raise ExportError(
            f"{what} starts threads with {code.parallel_regions[0]}: compile it with cpp.threads = 1"
        )
    if level is None:
        return
    lacking = [f"{name} registers" for name in code.vector_registers if name not in _REGISTERS[level]][:1]
    lacking += [f"{name} instructions" for name in code.extensions if name not in LEVELS[level]][:1]
    if lacking:
        raise ExportError(
            f"{what} needs {' and '.join(lacking)}, which x86-64-v{level} lacks: compile it with "
            f"cpp.march = x86-64-v{level}, cpp.simdlen = {_SIMDLEN[level]} and no other -m flags"
        )


@contextmanager
def _objdump(library: Path, *options: str) -> Iterator[Iterable[str]]:
    """Run objdump and give the lines of what it writes, without holding them all."""
    command = ["objdump", *options, "--", os.fspath(library)]
    environment = {**os.environ, "LC_ALL": "C"}
    with tempfile.TemporaryFile("w+") as messages:
        try:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=messages, text=True, errors="replace", env=environment
            )
        except FileNotFoundError as error:
            raise ExportError(
                "there is no 'objdump', with which compiled code is checked: install binutils"
            ) from error
        with process:
            assert process.stdout is not None
            yield process.stdout
        if process.returncode != 0:
            messages.seek(0)
            reason = messages.readline().strip().removeprefix("objdump: ")
            raise ExportError(f"objdump cannot read {library} as a shared library: {reason}")


def _instructions(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Give the bytes and the text of each instruction, without its prefixes, comment and symbols."""
    for line in lines:
        address, _, rest = line.partition(":\t")
        code, tab, text = rest.partition("\t")
        if tab and address[:1] == " ":
            yield code, _PREFIXES.sub("", re.split("[#<]", text, maxsplit=1)[0]).strip()


def _read_imports(library: Path) -> tuple[tuple[str, ...], dict[str, list[str]], tuple[str, ...]]:
    """Return the functions that start threads, the symbol versions by prefix, and the libraries."""
    starters: set[str] = set()
    versions: dict[str, list[str]] = {"GLIBC": [], "GLIBCXX": []}
    libraries: list[str] = []
    part = ""
    with _objdump(library, "-p", "-T") as lines:
        for line in lines:
            words = line.split()
            if not line.startswith(" ") and line.rstrip().endswith(":"):
                part = line.strip()
            elif "file format" in line and not line.rstrip().endswith("elf64-x86-64"):
                raise ExportError(
                    f"{library} is no library for x86-64 ({words[-1]}): choose a target of its own kind"
                )
            elif part == "Dynamic Section:" and words[:1] == ["NEEDED"]:
                libraries.append(words[1])
            elif part == "Version References:" and words[-1:] == ["GLIBC_ABI_DT_RELR"]:
                versions["GLIBC"].append("2.36")  # the first that relocates packed relative addresses
            elif part == "Version References:" and words and (found := _VERSION.fullmatch(words[-1])):
                versions[found[1]].append(found[2])
            elif "*UND*" in words and _STARTS_THREADS.fullmatch(words[-1]):
                starters.add(words[-1])
    return tuple(sorted(starters)), versions, tuple(libraries)


def _highest(versions: Iterable[str]) -> str:
    return max(versions, key=lambda version: [int(part) for part in version.split(".")], default="")
