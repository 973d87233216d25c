"""The AOTInductor artifact of a program, built for one target in one profile.

The invariant: it is compiled from the program alone, and handed over only after its machine code was seen
to be that of the target, and it gave what the program gives for views of other capacities, offsets and row
counts.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from soaflow.archives import AOT, DESCRIPTION, PROGRAM, read_members
from soaflow.cache import Cache, cache_key
from soaflow.claims import scratch_folder, temporary_files_in
from soaflow.cpu import this_cpu
from soaflow.description import Description, read_description
from soaflow.errors import ArtifactError, ExportError
from soaflow.export.archives import (
    Stopwatch,
    described,
    hand_over,
)
from soaflow.export.check import Model, check_against_eager, returning
from soaflow.export.compilation import Compiled, build_options, compile_program, compiler_facts
from soaflow.export.environment import environment_of_build
from soaflow.export.invariance import BATCH_SIZES, differing_batch_sizes
from soaflow.export.machine_code import MachineCode, check_machine_code, read_machine_code
from soaflow.export.program import eager_program, read_program
from soaflow.files import sha256_of_file
from soaflow.gpu_job import on_gpu
from soaflow.models.packages import load_package
from soaflow.nvml import driver_version, gpu_name
from soaflow.passport import Build, Passport, passport_path
from soaflow.profiles import BALANCED, find_profile
from soaflow.provenance import code_digest
from soaflow.soa.contract import STORED
from soaflow.soa.signature import Signature
from soaflow.targets import Target, find_target, require_buildable
from soaflow.verification import TORCH, verify_artifact

ALIGNMENT = 64
"""Bytes: memory of torch's begins at a multiple, on the CPU and on GPUs."""


def write_aot(
    program_path: Path | str,
    target_name: str,
    path: Path | str,
    *,
    profile_name: str = BALANCED,
    cache: Cache | None = None,
    scratch: Path | str | None = None,
) -> Passport:
    """Compile a program for a target, check the artifact against it, and write it with its passport.

    Parameters
    ----------
    program_path
        Of the program. If its passport lies beside it, the two must belong together; the version of torch
        that exported it may be another one.
    target_name
        As `soaflow.targets.find_target` knows it.
    path
        Of the artifact, ending in `.pt2`.
    profile_name
        One of `soaflow.profiles.PROFILES`.
    cache
        In which an earlier compilation of the same is looked for; the user's unless given.
    scratch
        Folder in which the compiler's files lie until it is done; the system's unless given.

    Raises
    ------
    ArtifactError
        If the program is missing, corrupt or not a program.
    TargetError
        If there is no such target, or this machine cannot build for it.
    ConfigError
        If there is no such profile.
    ExportError
        If there is no compiler, or the compilation or a check fails.
    OutputError
        If the files cannot be written.
    """
    stopwatch = Stopwatch.start()
    target, profile = find_target(target_name), find_profile(profile_name)
    require_buildable(target)
    program = _program_description(Path(program_path))
    signature = _computed_signature(program, program_path)
    digest = sha256_of_file(program_path)
    cache = cache or Cache.of_this_user("builds")
    facts = compiler_facts(target)
    options = build_options(read_program(program_path), target, profile)
    build_code = code_digest("soaflow.export.compilation")
    key = cache_key(
        {
            "program": digest,
            "options": options,
            "environment": environment_of_build(),
            "toolchain": facts,
            "cpu": _cpu_built_for(target),
            "code": build_code,
        }
    )
    description = replace(
        program,
        kind=AOT,
        targets=(target.name,),
        profile=profile.name,
        origin={**program.origin, "program_sha256": digest, "build_code_sha256": build_code},
    )
    with _gpu_of(target) as built_on, scratch_folder(scratch) as folder, temporary_files_in(folder):
        found = cache.find(key)
        if found is None:
            compiling = folder / "compiling"
            compiling.mkdir()
            compiled = compile_program(read_program(program_path), target, profile, compiling, program.model)
            cache.keep(key, compiled.to_bytes())
        else:
            compiled = Compiled.from_bytes(found)
        archive = described(compiled.records, description)
        what = f"AOT artifact for target {target.name}"
        machine_code = _machine_code(compiled.records, target, f"{what} of model {program.model}", folder)
        package = folder / "check.pt2"
        package.write_bytes(archive)
        candidate = read_package(package, target.device)
        figures = check_against_eager(
            candidate,
            returning(eager_program(read_program(program_path)), signature, _outputs_are(program)),
            signature,
            model_name=program.model,
            what=what,
            dtype=program.dtype,
        )
        differing = differing_batch_sizes(candidate, signature)
        if profile.same_bits and differing:
            raise ExportError(
                f"the {what} of model {program.model} gives other bits in batches of {differing[0]} rows "
                f"than in one call, so it is not {profile.name}: choose another profile, or rewrite what "
                "depends on the batch"
            )
    build = Build(
        {**facts, "flags": list(compiled.flags)},
        options,
        machine_code.to_mapping(),
        {
            **figures.to_mapping(),
            "batch_sizes": list(BATCH_SIZES),
            "batch_sizes_that_differ": list(differing),
        },
    )
    made = {**stopwatch.made(from_cache=found is not None), **built_on}
    return hand_over(path, archive, description, {target.name: build}, {target.name: made})


def read_package(path: Path | str, device: str = "cpu") -> Model:
    """Load a package, as what is called with the inputs one by one and returns the outputs.

    A package that stores its outputs, as its description says, gets memory for them in each call. No call
    is checked.

    Parameters
    ----------
    path
        Of the package; it must have been verified, as loading it runs its code.
    device
        Where it runs; inputs are moved there and outputs back.

    Raises
    ------
    ArtifactError
        If it is no AOTInductor package.
    """
    run = load_package(path, device)
    described_as = read_description(path) if DESCRIPTION in read_members(path) else None
    stored = (
        len(described_as.contract["outputs"]) if described_as and _outputs_are(described_as) == STORED else 0
    )

    def call(*tensors: torch.Tensor) -> list[torch.Tensor]:
        if device == "cpu":
            return run(list(tensors))
        moved = [moved_view(tensor, device) for tensor in tensors]
        outputs = [output.cpu() for output in run(moved) if output is not None]
        for here, there in zip(tensors[-stored:], moved[-stored:], strict=True) if stored else ():
            here.copy_(there)
        return outputs

    if described_as is None:
        return call
    return returning(call, _computed_signature(described_as, path), _outputs_are(described_as))


@contextmanager
def _gpu_of(target: Target) -> Iterator[dict[str, str]]:
    """Claim a GPU for what is built for one, with the settings of jobs, and say which it is.

    Inductor looks at the settings too: it compiles additions that give the same bits each time.
    """
    if target.device != "cuda":
        yield {}
        return
    with on_gpu(f"the build for target {target.name}", architecture=target.architecture) as gpu:
        yield {"gpu": gpu_name(gpu.identity), "driver": driver_version()}


def _computed_signature(description: Description, source: Path | str) -> Signature:
    return Signature.from_mapping(description.signature, source).computed_in(description.dtype)


def _outputs_are(description: Description) -> str:
    return str(description.contract["outputs_are"])


def _program_description(path: Path) -> Description:
    if passport_path(path).exists():
        description = verify_artifact(path, accept=[TORCH]).description
    elif path.is_file():
        description = read_description(path)
    else:
        raise ArtifactError(f"{path} is not there: export it first")
    if description.kind != PROGRAM:
        raise ArtifactError(f"{path} is of kind {description.kind}: compile a program")
    return description


def _cpu_built_for(target: Target) -> list[str]:
    """Return the building CPU where the build depends on it: compilers' names of CPUs leave much open."""
    if target.level is not None:
        return []
    cpu = this_cpu()
    return [cpu.describe(), *sorted(cpu.extensions)]


def _machine_code(records: Mapping[str, bytes], target: Target, what: str, folder: Path) -> MachineCode:
    """Disassemble the one library of a package, and check that it is for the target."""
    (library,) = (content for name, content in records.items() if name.endswith(".so"))
    path = folder / "library.so"
    path.write_bytes(library)
    machine_code = read_machine_code(path)
    check_machine_code(machine_code, target.level, what)
    return machine_code


def moved_view(tensor: torch.Tensor, device: str) -> torch.Tensor:
    """Move a view with all that lies between its elements: with its strides, and its address modulo 64.

    Compiled code may ask whether a view is aligned, so it must be as much so there as here. Torch's
    allocators align to 64 bytes at least.

    Parameters
    ----------
    tensor
        Of any shape and strides from 0.
    device
        As torch names it.
    """
    lead = tensor.data_ptr() % ALIGNMENT // tensor.element_size()
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    extent = 1 + sum((size - 1) * stride for size, stride in steps) if tensor.numel() else 0
    room = torch.empty(lead + extent, dtype=tensor.dtype, device=device)
    room[lead:] = tensor.as_strided((extent,), (1,))
    return room.as_strided(tensor.shape, tensor.stride(), lead)
