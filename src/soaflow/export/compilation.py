"""The compilation of a program by AOTInductor, for one target and in one profile.

The invariant: the package depends on the program, the target, the profile and the toolchain alone. Each
compilation has its own cache directory, as two must not share one; one thread, as a thread count is
compiled in; and an instruction set that is the target's and not the building machine's.
"""

import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import fx
from torch.export import ExportedProgram

from soaflow.errors import ExportError
from soaflow.export import gpu_build
from soaflow.export.archives import read_records, toolchain, write_records
from soaflow.export.check import first_line
from soaflow.export.environment import require_environment
from soaflow.export.notices import torch_deprecations_ignored
from soaflow.models.packages import MODEL_IN_PACKAGE
from soaflow.profiles import Profile
from soaflow.targets import Target

OPTIONS: Mapping[str, Any] = {
    "cpp.threads": 1,
    # The instruction set is the target's, so no compiler needs to be asked what this machine can do.
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
"""Settings of `torch._inductor.config` for all targets and profiles."""

_FINDS_METADATA_BY_LIBRARY = "2.13"
"""The first version of torch seen to load a package that names no source; 2.11 does not."""

_SOURCES = re.compile(r"\.cpp$|\.kernel_metadata\.json$")
"""Records that name files of the building machine and that no loader needs."""

_CACHES = {"l1d_cache_size": 32 << 10, "l2_cache_size": 256 << 10}
"""Bytes of the caches that matrix products are cut for: the least that CPUs of the levels have."""

_FLAGS = "extra/compiler_flags.json"
"""Record of the compiler's flags in the bytes of a compilation."""

_NO_PATH = re.compile(r"-(?![IL]|o$|-version$|ffile-prefix-map)[^/]+")
"""Flags of compilations that name no file or folder."""

_FLAGS_SEEN = "flags"
"""File into which the compiler that a compilation uses writes what it is called with, a blank line behind."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a compilation gives.

    Parameters
    ----------
    records
        Of the package: the shared library and its metadata, by name.
    flags
        That the compiler was called with, in their order, but for those that name files: one text for each
        different call.
    """

    records: dict[str, bytes]
    flags: tuple[str, ...]

    def to_bytes(self) -> bytes:
        """Return it as one archive, for `from_bytes`."""
        return write_records({**self.records, _FLAGS: json.dumps(self.flags).encode()})

    @classmethod
    def from_bytes(cls, archive: bytes) -> "Compiled":
        """Return what `to_bytes` was called on."""
        records = read_records(archive)
        return cls(
            {name: records[name] for name in records if name != _FLAGS}, tuple(json.loads(records[_FLAGS]))
        )


def build_options(program: ExportedProgram, target: Target, profile: Profile) -> dict[str, Any]:
    """Return the settings of `torch._inductor.config` for a program, a target and a profile."""
    on_cpu = target.device == "cpu"
    own_kernels = on_cpu and own_kernels_fit(program)
    return {
        **_settings_here(OPTIONS if on_cpu else {**OPTIONS, **gpu_build.OPTIONS}),
        **_settings_here(target.inductor_options()),
        **profile.options_for(own_kernels_fit=own_kernels),
    }


def _settings_here(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those options that this torch has: some, as that for the instruction set, are not in 2.11."""
    return {name: value for name, value in options.items() if _is_a_setting(name)}


def _is_a_setting(name: str) -> bool:
    """Tell whether this torch has a setting."""
    from torch._inductor import config  # noqa: PLC0415  2 s, and needed by any compilation

    owner: Any = config
    for part in name.split("."):
        if not hasattr(owner, part):
            return False
        owner = getattr(owner, part)
    return True


def own_kernels_fit(program: ExportedProgram) -> bool:
    """Tell whether matrix products can be compiled into the artifact: see `soaflow.profiles.OWN_KERNELS`."""
    nodes = program.graph.nodes
    if any(node.op == "call_function" and "conv" in str(node.target) for node in nodes):
        return False
    values = [node.meta.get("val") for node in nodes]
    if any(isinstance(value, torch.Tensor) and value.dtype == torch.float64 for value in values):
        return False  # Inductor has templates of products for narrower types only
    ranges = program.range_constraints
    return all(
        ranges[node.meta["val"].shape[0].node.expr].lower > 0
        for node in nodes
        if node.op == "placeholder" and _has_symbolic_rows(node)
    )


def _has_symbolic_rows(placeholder: fx.Node) -> bool:
    value = placeholder.meta.get("val")
    return (
        isinstance(value, torch.Tensor)
        and value.dim() > 0
        and isinstance(value.shape[0], torch.SymInt)
        and value.shape[0].node.expr.is_Symbol
    )


def compile_program(
    program: ExportedProgram, target: Target, profile: Profile, folder: Path, model_name: str
) -> Compiled:
    """Compile a program.

    Parameters
    ----------
    program
        Is used up.
    target, profile
        What to compile for, and how.
    folder
        Empty; takes the compiler's files.
    model_name
        For errors.

    Raises
    ------
    ExportError
        If there is no compiler, or for a GPU no CUDA toolkit, or one of them or Inductor fails, or this
        process was not prepared for the build; see `soaflow.export.environment`.
    """
    chosen = build_options(program, target, profile)
    require_environment(target, packs_weights=bool(chosen.get("freezing")))
    if chosen.get("max_autotune_gemm_backends") == "CPP":
        _copy_inputs_row_major(program)
    stream = io.BytesIO()
    options = {**chosen, "cpp.cxx": (None, str(_compiler_in(folder, target)))}
    if target.device != "cpu":
        gpu_build.require_toolkit(target, find_compiler())
        program = gpu_build.moved_program(program, target.device)
    with (
        _private_cache(folder / "cache"),
        gpu_build.without_paths(target),
        _instruction_set_of(target),
        _no_layout_of_stored_outputs(),
        torch.no_grad(),
    ):
        try:
            torch._inductor.aoti_compile_and_package(program, package_path=stream, inductor_configs=options)
        except Exception as error:
            raise ExportError(
                f"model {model_name} cannot be compiled for target {target.name}: {first_line(error)}"
            ) from error
    records = read_records(stream.getvalue())
    kept = {name: content for name, content in records.items() if not _SOURCES.search(name)}
    if torch.torch_version.TorchVersion(torch.__version__) < _FINDS_METADATA_BY_LIBRARY:
        kept |= dict.fromkeys((name for name in records if name.endswith(".wrapper.cpp")), b"")
    return Compiled(kept, _flags_used(folder))


def _copy_inputs_row_major(program: ExportedProgram) -> None:
    """Let the program begin with a copy of each floating input, row by row.

    Inductor compiles no matrix product into the artifact whose operand is a view of a collection. The copy is
    of one call's rows, inside the compiled code.
    """
    graph = program.graph
    user_inputs = set(program.graph_signature.user_inputs)
    for node in list(graph.nodes):
        if node.op != "placeholder" or node.name not in user_inputs or not _has_symbolic_rows(node):
            continue
        value, users = node.meta["val"], list(node.users)
        written = any(user.target is torch.ops.aten.copy_.default and user.args[0] is node for user in users)
        if written or not value.is_floating_point() or value.dim() < 2:
            continue
        row_major = {"memory_format": torch.contiguous_format}
        with graph.inserting_before(next(one for one in graph.nodes if one.op != "placeholder")):
            copy = graph.call_function(torch.ops.aten.clone.default, (node,), row_major)
        copy.meta["val"] = torch.ops.aten.clone.default(value, **row_major)
        for user in users:
            user.replace_input_with(node, copy)
    program.graph_module.recompile()


def compiler_facts(target: Target) -> dict[str, Any]:
    """Return what builds for a target: torch, compiler, C library, and the instruction set as resolved.

    Raises
    ------
    ExportError
        If there is no compiler, or torch or Triton for a GPU is missing.
    """
    from torch._inductor.cpu_vec_isa import pick_vec_isa  # noqa: PLC0415  2 s, and needed by any compilation

    compiler = find_compiler()
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    resolved = subprocess.run(
        [compiler, f"-march={target.march or 'native'}", "-Q", "--help=target"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"-march=\s+(\S+)", resolved.stdout)
    with (
        _instruction_set_of(target),
        torch._inductor.config.patch({**_settings_here(target.inductor_options()), "cpp.vec_isa_ok": True}),
    ):
        vector_instructions = str(pick_vec_isa())
    return {
        **toolchain(),
        **gpu_build.kernel_facts(target),
        "compiler": version.stdout.splitlines()[0],
        "march": found[1] if found else target.march or "native",
        "vector_instructions": "none" if vector_instructions == "INVALID_VEC_ISA" else vector_instructions,
    }


def find_compiler() -> str:
    """Return the path of the C++ compiler.

    Raises
    ------
    ExportError
        If there is none.
    """
    wanted = os.environ.get("CXX", "g++")
    found = shutil.which(wanted)
    if found is None:
        raise ExportError(
            f"there is no C++ compiler '{wanted}', which AOT artifacts need: install g++ or set CXX"
        )
    return found


def _compiler_in(folder: Path, target: Target) -> Path:
    """Put a compiler into the folder that leaves the folder's and torch's paths out of what it builds.

    It builds for the target's instruction set where torch cannot be told which, and asks for this CPU's.
    """
    march = "native" if _is_a_setting("cpp.march") else target.march or "native"
    compiler = find_compiler()
    script = folder / Path(compiler).name
    torch_folder = Path(torch.__file__).parent
    script.write_text(
        f'#!/bin/bash\nset -- "${{@/#-march=native/-march={march}}}"\n'
        f'printf "%s\\n" "$@" "" >> "{folder / _FLAGS_SEEN}"\n'
        f'exec "{compiler}" "-ffile-prefix-map={folder}=soaflow" '
        f'"-ffile-prefix-map={torch_folder}=torch" "$@"\n'
    )
    script.chmod(0o755)
    return script


def _flags_used(folder: Path) -> tuple[str, ...]:
    calls = (folder / _FLAGS_SEEN).read_text().replace("-D\n", "-D").split("\n\n")
    return tuple(sorted({" ".join(filter(_NO_PATH.fullmatch, call.splitlines())) for call in calls} - {""}))


@contextmanager
def _private_cache(folder: Path) -> Iterator[None]:
    from torch._inductor.runtime.cache_dir_utils import temporary_cache_dir  # noqa: PLC0415

    with torch_deprecations_ignored(), temporary_cache_dir(str(folder)):
        yield


@contextmanager
def _instruction_set_of(target: Target) -> Iterator[None]:
    """Let Inductor see the vector instructions and caches of a level, and not those of this CPU beyond it.

    Inductor takes the first set of the width asked for, which on a newer CPU has VNNI, bfloat16 or AMX
    instructions that plain x86-64-v4 lacks, and it writes the sizes of this CPU's caches into matrix
    products. This replaces functions of torch (seen in 2.13.0); the check of the machine code finds
    instructions that it would miss.
    """
    if target.level is None:
        yield
        return
    from torch._inductor import cpu_vec_isa  # noqa: PLC0415  2 s

    class PlainAVX512(cpu_vec_isa.VecAVX512):
        """AVX-512 as x86-64-v4 has it: torch's own, asked for its truth, adds bfloat16 if this CPU has it."""

        __hash__ = cpu_vec_isa.VecISA.__hash__  # type: ignore[assignment]

        def __bool__(self) -> bool:  # type: ignore[override]
            return True

    by_level: dict[int, list[Any]] = {2: [], 3: [cpu_vec_isa.VecAVX2()], 4: [PlainAVX512()]}
    capabilities = {**torch.cpu.get_capabilities(), **_CACHES}
    with (
        mock.patch.object(cpu_vec_isa, "valid_vec_isa_list", return_value=by_level[target.level]),
        mock.patch.object(torch.cpu, "get_capabilities", return_value=capabilities),
    ):
        yield


@contextmanager
def _no_layout_of_stored_outputs() -> Iterator[None]:
    """Let Inductor pack a convolution's weights in a program that returns nothing, as it stores its outputs.

    Inductor fixes the layout of what is returned, and stumbles where that is nothing. This wraps a private
    function of torch (seen in 2.13.0); a torch without the fault is none the worse for it.
    """
    from torch._inductor import freezing  # noqa: PLC0415  2 s

    fix_layout = freezing.enforce_output_layout

    def fix_layout_of_what_is_returned(module: torch.fx.GraphModule) -> None:
        (output,) = module.graph.find_nodes(op="output")
        if any(returned is not None for returned in output.args[0]):
            fix_layout(module)

    with mock.patch.object(freezing, "enforce_output_layout", fix_layout_of_what_is_returned):
        yield
