"""Where a candidate, whatever kind of file it is, begins to differ from a program.

The invariant: what costs nothing is tried first. A program is walked through; an artifact's own outputs are
looked at, then the program that it was made from is walked through, and only if that is right are first parts
of it built.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from soaflow.archives import AOT, FAT, JIT, ONNX, PROGRAM
from soaflow.bisect.answer import Answer
from soaflow.bisect.builders import aot_builder, jit_builder, onnx_builder
from soaflow.bisect.calls import Calls, Inputs, Program
from soaflow.bisect.figures import FACTOR, Figures, measure
from soaflow.bisect.prefixes import Build, bisect_builds
from soaflow.bisect.programs import bisect_programs
from soaflow.description import Description
from soaflow.errors import ArtifactError
from soaflow.infer import backends
from soaflow.passport import Passport, read_passport
from soaflow.soa.signature import Signature
from soaflow.targets import find_target
from soaflow.verification import TORCH, chosen_target, verify_artifact

_KINDS = (PROGRAM, JIT, AOT, FAT, ONNX)
"""Kinds of candidates."""

_BACKENDS: dict[str, Callable[..., backends.Backend]] = {JIT: backends.jit, ONNX: backends.onnx}
"""What runs an artifact that is not AOTInductor's."""


def bisect(
    program_path: Path | str,
    candidate_path: Path | str,
    events_path: Path | str,
    *,
    made_from: Path | str | None = None,
    rows: int = 0,
    factor: float = FACTOR,
) -> Answer:
    """Find the first operation of a program whose output in the candidate diverges.

    Parameters
    ----------
    program_path
        What is right, in the precision that is the yardstick.
    candidate_path
        A program, or a TorchScript, ONNX or AOTInductor artifact for the CPU, of the same inputs and outputs.
    events_path
        The rows to run both on.
    made_from
        The program that an artifact was made from, if it is another than `program_path`.
    rows
        How many of them, from the first on; 0 for all.
    factor
        How many times as far from float64 as the program itself the candidate may be.

    Raises
    ------
    ArtifactError
        If a file is of another kind, is not what its passport says, has another signature, does not fit this
        machine, or an AOTInductor artifact was made from another program than the one named.
    StorageError
        If the events do not fit.
    ExportError, TargetError
        If a first part cannot be built.
    """
    program = Program.read(program_path)
    is_program = read_passport(candidate_path).description.kind == PROGRAM
    passport = verify_artifact(candidate_path, accept=[TORCH] if is_program else [])
    description = passport.description
    if description.kind not in _KINDS:
        raise ArtifactError(
            f"{candidate_path} is of kind '{description.kind}': name one of kind {', '.join(_KINDS)}"
        )
    _check_signature(candidate_path, description, program)
    calls = Calls(program.signature, events_path, rows)
    if description.kind == PROGRAM:
        if made_from is not None:
            raise ArtifactError(f"{candidate_path} is a program itself: leave out the one it was made from")
        return bisect_programs(program, Program.read(candidate_path), calls, factor)
    origin = Program.read(made_from) if made_from is not None else program
    _check_origin(candidate_path, description, origin)
    build = _builder(candidate_path, passport, origin)
    outputs = _largest_figures(program, _runner(candidate_path, description, program), calls)
    if not any(figures.diverges(factor) for figures in outputs):
        return Answer(calls.rows, factor, len(outputs), None)
    if made_from is not None:
        _check_signature(made_from, origin.description, program)
        answer = bisect_programs(program, origin, calls, factor)
        if answer.diverges:
            return answer
    return bisect_builds(origin, build, calls, factor)


def _check_signature(path: Path | str, description: Description, program: Program) -> None:
    if description.signature != program.description.signature:
        raise ArtifactError(
            f"{path} has other inputs or outputs than the program of model {program.description.model}: name "
            "two of one signature"
        )


def _check_origin(path: Path | str, description: Description, origin: Program) -> None:
    made_from = description.origin.get("program_sha256")
    if description.kind not in (JIT, ONNX) and made_from != origin.sha256:
        raise ArtifactError(
            f"{path} was made from the program with SHA-256 {str(made_from)[:12]}, and the one named has "
            f"{origin.sha256[:12]}: name its own with --made-from"
        )


def _builder(path: Path | str, passport: Passport, origin: Program) -> Build:
    description = passport.description
    if description.kind == JIT:
        return jit_builder(origin)
    if description.kind == ONNX:
        return onnx_builder(origin)
    target = chosen_target(passport) if description.kind == FAT else description.targets[0]
    if find_target(target).device != "cpu":
        raise ArtifactError(f"{path} is for a GPU, and a bisection runs on the CPU: name an artifact for it")
    return aot_builder(origin, target, description.profile)


def _runner(
    path: Path | str, description: Description, program: Program
) -> Callable[[Inputs], Sequence[torch.Tensor]]:
    load = _BACKENDS.get(description.kind, backends.aot)
    backend = load(path, Signature.from_mapping(program.description.signature))

    def call(inputs: Inputs) -> Sequence[torch.Tensor]:
        backend.check(inputs)
        with torch.no_grad():
            return backend(inputs)

    return call


def _largest_figures(
    program: Program, run: Callable[[Inputs], Sequence[torch.Tensor]], calls: Calls
) -> list[Figures]:
    """Return the figures of each output of an artifact."""
    found = [Figures() for _ in program.signature.outputs]
    for inputs in calls:
        three = (program.outputs(inputs, widened=True), program.outputs(inputs), run(inputs))
        found = [
            one.joined(measure([wide], [own], [got]))
            for one, wide, own, got in zip(found, *three, strict=True)
        ]
    return found
