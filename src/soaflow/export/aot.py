"""The AOTInductor artifact of a program, compiled for one target.

The invariants: it is compiled from the program alone; with one thread, as a thread count is compiled
in; in a cache directory of its own, as two compilations must not share one; and it is handed over only
after it gave what the program gives for views of other capacities, offsets and row counts.
"""

import io
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from soaflow.errors import ArtifactError, ExportError
from soaflow.export.archives import hand_over, toolchain, without_records
from soaflow.export.check import Model, check_against_eager, first_line
from soaflow.export.notices import torch_deprecations_ignored
from soaflow.export.program import eager_program, read_program
from soaflow.export.targets import Target, find_target
from soaflow.files import sha256_of_file
from soaflow.models.packages import MODEL_IN_PACKAGE, load_package
from soaflow.passport import AOT, PROGRAM, Passport, passport_path, verify_artifact
from soaflow.soa.signature import Signature

OPTIONS: dict[str, Any] = {
    "cpp.threads": 1,
    # torch has asked the CPU what it can do; a compiler that cannot do it fails with a message.
    "cpp.vec_isa_ok": True,
    "compile_threads": 1,
    "size_asserts": False,
    # Inductor assumes at least 2 rows in its input check, though its code is right for 1.
    "aot_inductor.check_lowerbound": False,
    "aot_inductor.enable_line_tables": False,
    # They would live in a directory shared by all builds, and make the bytes differ.
    "aot_inductor.precompile_headers": False,
    "aot_inductor.model_name_for_generated_files": MODEL_IN_PACKAGE,
}
"""Settings of `torch._inductor.config` for all targets."""


def write_aot(
    program_path: Path | str, target_name: str, path: Path | str, *, scratch: Path | str | None = None
) -> Passport:
    """Compile a program for a target, check the artifact against it, and write it with its passport.

    Parameters
    ----------
    program_path
        Of the program, with its passport beside it.
    target_name
        A key of `soaflow.export.targets.TARGETS`.
    path
        Of the artifact, ending in `.pt2`.
    scratch
        Folder in which the compiler's files lie until it is done; the system's unless given.

    Raises
    ------
    ArtifactError
        If the program is missing, corrupt or not a program.
    ExportError
        If there is no such target or no compiler, or the compilation or the check fails.
    OutputError
        If the files cannot be written.
    """
    target = find_target(target_name)
    passport = verify_artifact(program_path)
    if passport.kind != PROGRAM:
        raise ArtifactError(f"{program_path} is of kind {passport.kind}: compile a program")
    signature = Signature.from_mapping(passport.signature, passport_path(program_path))
    program = read_program(program_path)
    eager = eager_program(read_program(program_path))
    with tempfile.TemporaryDirectory(prefix="soaflow-", dir=scratch) as folder:
        archive = compile_program(program, target, Path(folder), passport.model)
        package = Path(folder) / "check.pt2"
        package.write_bytes(archive)
        figures = check_against_eager(
            read_package(package),
            eager,
            signature,
            model_name=passport.model,
            what=f"AOT artifact for target {target.name}",
            dtype=passport.dtype,
        )
    return hand_over(
        path,
        archive,
        signature,
        figures,
        kind=AOT,
        model_name=passport.model,
        dtype=passport.dtype,
        target=target.name,
        origin={
            "program_sha256": passport.sha256,
            "program_passport_sha256": sha256_of_file(passport_path(program_path)),
        },
        options={**OPTIONS, **target.inductor_options()},
        built_by={**toolchain(), **_compiler_facts(target)},
    )


def read_package(path: Path | str) -> Model:
    """Load a package, as what is called with the inputs one by one; no call is checked.

    Parameters
    ----------
    path
        Of the package; it must have been verified, as loading it runs its code.

    Raises
    ------
    ArtifactError
        If it is no AOTInductor package.
    """
    run = load_package(path)

    def call(*inputs: torch.Tensor) -> list[torch.Tensor]:
        return run(list(inputs))

    return call


def compile_program(program: ExportedProgram, target: Target, folder: Path, model_name: str) -> bytes:
    """Compile a program and return the bytes of the package: the shared library and its metadata.

    Parameters
    ----------
    program
        Is used up.
    target
        What to compile for.
    folder
        Empty; takes the compiler's files.
    model_name
        For errors.

    Raises
    ------
    ExportError
        If there is no compiler, or it or Inductor fails.
    """
    stream = io.BytesIO()
    options = {**OPTIONS, **target.inductor_options(), "cpp.cxx": (None, str(_compiler_in(folder)))}
    with _private_cache(folder / "cache"), torch.no_grad():
        try:
            torch._inductor.aoti_compile_and_package(program, package_path=stream, inductor_configs=options)
        except Exception as error:
            raise ExportError(
                f"model {model_name} cannot be compiled for target {target.name}: {first_line(error)}"
            ) from error
    # The sources name files of the building machine, and no loader needs them.
    return without_records(
        stream.getvalue(), lambda name: bool(re.search(r"\.cpp$|\.kernel_metadata\.json$", name))
    )


def _find_compiler() -> str:
    wanted = os.environ.get("CXX", "g++")
    found = shutil.which(wanted)
    if found is None:
        raise ExportError(
            f"there is no C++ compiler '{wanted}', which AOT artifacts need: install g++ or set CXX"
        )
    return found


def _compiler_in(folder: Path) -> Path:
    """Put a compiler into the folder that leaves the folder's and torch's paths out of what it builds."""
    compiler = _find_compiler()
    script = folder / Path(compiler).name
    torch_folder = Path(torch.__file__).parent
    script.write_text(
        f'#!/bin/sh\nexec "{compiler}" "-ffile-prefix-map={folder}=soaflow" '
        f'"-ffile-prefix-map={torch_folder}=torch" "$@"\n'
    )
    script.chmod(0o755)
    return script


def _compiler_facts(target: Target) -> dict[str, Any]:
    from torch._inductor.cpu_vec_isa import pick_vec_isa  # noqa: PLC0415  2 s, and loaded by now

    compiler = _find_compiler()
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    march = target.march or "native"
    resolved = subprocess.run(
        [compiler, f"-march={march}", "-Q", "--help=target"], capture_output=True, text=True, check=False
    )
    found = re.search(r"-march=\s+(\S+)", resolved.stdout)
    return {
        "compiler": version.stdout.splitlines()[0],
        "march": found[1] if found else march,
        "vector_instructions": str(pick_vec_isa()),
    }


@contextmanager
def _private_cache(folder: Path) -> Iterator[None]:
    from torch._inductor.runtime.cache_dir_utils import temporary_cache_dir  # noqa: PLC0415

    with torch_deprecations_ignored(), temporary_cache_dir(str(folder)):
        yield
