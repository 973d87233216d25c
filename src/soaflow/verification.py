"""Whether a program or artifact may be loaded here: looked at from outside, before any of its code runs.

The invariant: `verify_artifact` returns only for a file whose archive is sane, whose bytes are those that
its passport was written for, and that fits this machine and this torch, but for what the caller accepts by
name. Nothing of the file is loaded, and torch is not imported.
"""

import importlib.metadata
import platform
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from soaflow.archives import AOT, FAT, ONNX, PROGRAM, check_archive, packed_models
from soaflow.cpu import Cpu, extensions_of_level, this_cpu
from soaflow.description import read_description
from soaflow.errors import ArtifactError, SoaflowError
from soaflow.files import sha256_of_file
from soaflow.gpu import cuda_of_torch, gpu_architectures
from soaflow.passport import Passport, check_against_schema, passport_path, read_passport
from soaflow.soa.contract import RETURNED, ROW_MAJOR, STORED, VIEWS, describe_contract
from soaflow.soa.signature import Signature
from soaflow.targets import CUDA_PATTERN, best_target, find_target

PASSPORT, DIGEST, ARCHIVE, CONTRACT = "passport", "sha256", "archive", "contract"
CPU, TORCH, C_LIBRARY = "cpu", "torch", "c_library"

ACCEPTABLE = (CPU, TORCH, C_LIBRARY)
"""What a caller may accept although it does not fit: it is not proven here, but is the file it claims."""


@dataclass(frozen=True, slots=True)
class Host:
    """What a file is held against.

    Parameters
    ----------
    cpu
        Of the machine.
    torch
        Version, without what it was built for.
    c_library
        Version of glibc; empty for another C library.
    architectures
        Of the GPUs, if the file is for one.
    cuda
        Version that torch is built with; empty for none.
    """

    cpu: Cpu
    torch: str
    c_library: str
    architectures: tuple[str, ...]
    cuda: str = ""

    @classmethod
    def this(cls, targets: Collection[str]) -> "Host":
        """Return this machine, with the installed torch.

        Parameters
        ----------
        targets
            Of the file. The driver is asked for GPUs only if one of them is a GPU's, as it takes a while to
            start.
        """
        name, version = platform.libc_ver()
        return cls(
            this_cpu(),
            _public(importlib.metadata.version("torch")),
            version if name == "glibc" else "",
            gpu_architectures() if any(re.fullmatch(CUDA_PATTERN, name) for name in targets) else (),
            cuda_of_torch(),
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    name
        Of the check.
    fits
        Whether all is well.
    sentence
        What fits, or what does not and the remedy.
    """

    name: str
    fits: bool
    sentence: str


def examine(artifact: Path | str, host: Host | None = None) -> Iterator[Finding]:
    """Look at a program or artifact, one thing after another.

    Parameters
    ----------
    artifact
        Its passport lies beside it.
    host
        To hold it against; this machine unless given.

    Yields
    ------
    Finding
        In the order in which they rest on one another; nothing follows a passport that does not fit.

    Raises
    ------
    ArtifactError
        If the file is not there.
    """
    artifact = _existing(artifact)
    try:
        passport = read_passport(artifact)
        check_against_schema(passport, passport_path(artifact))
    except ArtifactError as error:
        yield Finding(PASSPORT, False, str(error))
        return
    version = passport.schema_version
    whole = f"{passport_path(artifact).name} is whole and fits the schema of version {version}"
    yield Finding(PASSPORT, True, whole)
    yield from _findings(artifact, passport, host or Host.this(passport.description.targets))


def verify_artifact(
    artifact: Path | str, *, accept: Collection[str] = (), host: Host | None = None
) -> Passport:
    """Read the passport of a program or artifact, and check that the file may be loaded here.

    The passport is not held against its schema in full depth, which takes as long as all else together.

    Parameters
    ----------
    artifact
        Its passport lies beside it.
    accept
        Names of `ACCEPTABLE` that need not fit.
    host
        To hold it against; this machine unless given.

    Raises
    ------
    ArtifactError
        Naming the first thing that does not fit and is not accepted.
    """
    if unknown := sorted(set(accept) - set(ACCEPTABLE)):
        raise ArtifactError(f"'{unknown[0]}' cannot be accepted: choose of {', '.join(ACCEPTABLE)}")
    artifact = _existing(artifact)
    passport = read_passport(artifact)
    for finding in _findings(artifact, passport, host or Host.this(passport.description.targets)):
        if not finding.fits and finding.name not in accept:
            way_out = f", or accept '{finding.name}' by name" if finding.name in ACCEPTABLE else ""
            raise ArtifactError(finding.sentence + way_out)
    return passport


def chosen_target(passport: Passport, cpu: Cpu | None = None) -> str:
    """Return which target of a fat artifact a CPU runs: the highest that it supports.

    Raises
    ------
    ArtifactError
        If it supports none of them.
    """
    cpu = cpu or this_cpu()
    targets = passport.description.targets
    best = best_target(targets, cpu.level)
    if best is None:
        raise ArtifactError(
            f"the artifact of model {passport.description.model} holds targets {', '.join(targets)}, and "
            f"this CPU is {cpu.describe()}: build it with a lower target"
        )
    return best


def _existing(artifact: Path | str) -> Path:
    artifact = Path(artifact)
    if not artifact.is_file():
        raise ArtifactError(f"{artifact} is not there: export it first")
    return artifact


def _findings(artifact: Path, passport: Passport, host: Host) -> Iterator[Finding]:
    yield _finding(DIGEST, lambda: _check_digest(artifact, passport))
    yield _finding(ARCHIVE, lambda: _check_archive(artifact, passport))
    yield _finding(CONTRACT, lambda: _check_contract(artifact, passport))
    if passport.description.kind in (AOT, FAT):
        yield _finding(CPU, lambda: _check_machine(artifact, passport, host))
        yield _finding(C_LIBRARY, lambda: _check_c_library(artifact, passport, host))
    if passport.description.kind != ONNX:  # of which the operators' version, and no torch, says what they do
        yield _finding(TORCH, lambda: _check_torch(artifact, passport, host))


def _finding(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check())
    except SoaflowError as error:
        return Finding(name, False, str(error))


def _check_digest(artifact: Path, passport: Passport) -> str:
    if artifact.stat().st_size != passport.size or sha256_of_file(artifact) != passport.sha256:
        raise ArtifactError(
            f"{artifact} is corrupt or is not the file its passport describes, as the SHA-256 differs: "
            "export it again"
        )
    return f"the file's {passport.size} bytes are those of its passport"


def _check_archive(artifact: Path, passport: Passport) -> str:
    members = check_archive(artifact, passport.description.kind)
    if passport.description.kind == ONNX:
        return f"the graph has {sum(members.values())} operators, all ONNX's own, and holds its weights"
    packed, targets = set(packed_models(members)), set(passport.description.targets)
    if passport.description.kind == FAT and packed != targets:
        raise ArtifactError(
            f"{artifact} holds {', '.join(sorted(packed))}, and its passport is for "
            f"{', '.join(sorted(targets))}: export it again"
        )
    return f"the archive holds the {len(members)} members of its kind, {passport.description.kind}"


def _check_contract(artifact: Path, passport: Passport) -> str:
    description = passport.description
    if read_description(artifact) != description:
        raise ArtifactError(
            f"{artifact} says something else of itself than its passport does: export it again"
        )
    signature = Signature.from_mapping(description.signature, artifact)
    outputs_are = str(description.contract.get("outputs_are"))
    computed = signature.computed_in(description.dtype)
    inputs_are = ROW_MAJOR if description.kind == ONNX else VIEWS
    expected = describe_contract(computed, inputs_are=inputs_are, outputs_are=outputs_are)
    if outputs_are not in (RETURNED, STORED) or expected != description.contract:
        raise ArtifactError(f"the contract of {artifact} is not that of its signature: export it again")
    return f"file and passport agree on {len(signature.inputs)} inputs and {len(signature.outputs)} outputs"


def _check_machine(artifact: Path, passport: Passport, host: Host) -> str:
    if passport.description.kind == FAT:
        return f"of its targets this CPU, {host.cpu.describe()}, runs {chosen_target(passport, host.cpu)}"
    (name,) = passport.description.targets
    target = find_target(name)
    if target.device == "cuda" and target.architecture not in host.architectures:
        shown = ", ".join(host.architectures) or "no NVIDIA GPU"
        raise ArtifactError(
            f"{artifact} is built for a GPU of {target.architecture}, and this machine shows {shown}: "
            "build it for another target"
        )
    used = passport.builds[name].machine_code["extensions"]
    missing = host.cpu.missing(extensions_of_level(target.level or 1) | set(used))
    if missing:
        raise ArtifactError(
            f"{artifact} is built for {name} and needs {', '.join(missing)}, which this CPU, "
            f"{host.cpu.describe()}, lacks: build it for a lower target"
        )
    if target.device == "cuda":
        return f"this machine has a GPU of {target.architecture}, and its CPU what launches the kernels"
    return f"this CPU, {host.cpu.describe()}, has the instructions of target {name}"


def _check_c_library(artifact: Path, passport: Passport, host: Host) -> str:
    needed = max((_needed_glibc(passport, target) for target in _loadable(passport, host)), key=_numbers)
    if _numbers(needed) > _numbers(host.c_library):
        raise ArtifactError(
            f"{artifact} needs glibc {needed}, and this machine has "
            f"{host.c_library or 'another C library'}: build it on this machine or an older one"
        )
    return f"glibc {host.c_library} has the symbols of {needed}" if needed else "no symbol of glibc is needed"


def _loadable(passport: Passport, host: Host) -> tuple[str, ...]:
    if passport.description.kind != FAT:
        return passport.description.targets
    best = best_target(passport.description.targets, host.cpu.level)
    return (best,) if best else passport.description.targets


def _needed_glibc(passport: Passport, target: str) -> str:
    return str(passport.builds[target].machine_code["glibc"])


def _check_torch(artifact: Path, passport: Passport, host: Host) -> str:
    for build in passport.builds.values():
        built_for = build.toolchain.get("cuda", "")
        if _numbers(built_for)[:1] != _numbers(host.cuda)[:1] and built_for:
            has = f"CUDA {host.cuda}" if host.cuda else "none"
            raise ArtifactError(
                f"{artifact} was made with CUDA {built_for}, and the installed torch has {has}: install a "
                f"torch for CUDA {_numbers(built_for)[0]}, or rebuild it from its program"
            )
        built_with = _public(build.toolchain["torch"])
        if built_with != host.torch:
            remedy = (
                "export it again" if passport.description.kind == PROGRAM else "rebuild it from its program"
            )
            raise ArtifactError(
                f"{artifact} was made with torch {built_with}, and torch {host.torch} is installed: {remedy}"
            )
    return f"made with torch {host.torch}, which is installed"


def _public(version: str) -> str:
    """Return a version without what it was built for, such as +cpu."""
    return version.partition("+")[0]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))
