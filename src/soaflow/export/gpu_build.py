"""What a build for a GPU needs beyond one for a CPU: kernels by Triton, and a program that is on the GPU.

The invariant: nothing is timed while it is compiled and nothing names a file of the building machine, so the
package is the same each time.
"""

import importlib.metadata
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch._subclasses import FakeTensor
from torch.export import ExportedProgram
from torch.utils._pytree import tree_map_only

from soaflow.errors import ExportError
from soaflow.gpu import compute_capability
from soaflow.targets import Target

OPTIONS: Mapping[str, Any] = {
    # Otherwise Inductor times kernels on the GPU and takes the fastest, which need not be the same one twice.
    "deterministic": True,
    "triton.autotune_pointwise": False,
    # It would copy the rows of a call into longer ones where that was seen to be faster.
    "shape_padding": False,
    # In the library, which would otherwise name the files of the building machine.
    "aot_inductor.embed_kernel_binary": True,
}
"""Settings of `torch._inductor.config` that targets for a GPU have besides."""

_MISSING = re.compile(r"error: (.+): No such file|cannot find (-l\w+)")
"""What the compiler or the linker does not find."""


def kernel_facts(target: Target) -> dict[str, str]:
    """Return what builds a target's kernels; nothing for a CPU's, which has none.

    Raises
    ------
    ExportError
        If torch is not built with CUDA, or Triton is missing.
    """
    if target.device != "cuda":
        return {}
    if torch.version.cuda is None:
        raise ExportError(
            f"target {target.name} needs a torch that is built with CUDA, and {torch.__version__} is not: "
            "install one"
        )
    try:
        triton = importlib.metadata.version("triton")
    except importlib.metadata.PackageNotFoundError as error:
        raise ExportError(f"target {target.name} needs Triton, which is not there: install triton") from error
    return {
        "cuda": torch.version.cuda,
        "triton": triton,
        "compute_capability": compute_capability(target.architecture),
    }


def require_toolkit(target: Target, compiler: str) -> None:
    """Let the compiler say whether it finds the headers and the library that launch kernels.

    Parameters
    ----------
    target
        For a GPU.
    compiler
        Path of the one for C++.

    Raises
    ------
    ExportError
        Naming the header or the library that is missing.
    """
    from torch.utils import cpp_extension  # noqa: PLC0415  no CPU target needs it

    remedy = f"install the CUDA toolkit {torch.version.cuda} and set CUDA_HOME to its folder"
    if cpp_extension.CUDA_HOME is None:
        raise ExportError(f"target {target.name} needs the CUDA toolkit, and none is found: {remedy}")
    tried = subprocess.run(
        [
            *(compiler, "-x", "c++", "-", "-o", os.devnull),
            *(f"-I{folder}" for folder in cpp_extension.include_paths("cuda")),
            *(f"-L{folder}" for folder in cpp_extension.library_paths("cuda")),
            "-lcuda",
        ],
        input="#include <cuda.h>\n#include <cuda_fp16.h>\nint main() {}\n",
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    if tried.returncode:
        raise ExportError(
            f"target {target.name} needs the CUDA toolkit, and that in {cpp_extension.CUDA_HOME} lacks "
            f"{_first_missing(tried.stderr)}: {remedy}"
        )


def _first_missing(complaints: str) -> str:
    if found := _MISSING.search(complaints):
        return found[1] or found[2]
    first_line, _, _ = complaints.strip().partition("\n")
    return f"something ({first_line})"


def moved_program(program: ExportedProgram, device: str) -> ExportedProgram:
    """Move a program to another device, with inputs and stored outputs that are views there as here.

    Torch's own move makes views dense, or stumbles over their symbolic strides, so the values of all nodes
    are moved before it. And Inductor takes each input for 16-byte aligned on a GPU, which the first row of a
    batch need not be: its code would work on a copy of such a view, and store outputs into that. So the views
    begin one element after their storage does.

    Parameters
    ----------
    program
        Is used up.
    device
        As torch names it.
    """
    from torch.export.passes import move_to_device_pass  # noqa: PLC0415  no CPU target needs it

    user_inputs = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.target is torch.ops.aten._assert_tensor_metadata.default:
            # Moved, it would ask for a device without a number, and each tensor's has one.
            node.kwargs = {name: value for name, value in node.kwargs.items() if name != "device"}
        lead = int(node.op == "placeholder" and node.name in user_inputs)
        node.meta["val"] = tree_map_only(
            FakeTensor, partial(_fake_on, device=device, lead=lead), node.meta.get("val")
        )
    return move_to_device_pass(program, device)


def _fake_on(value: FakeTensor, device: str, lead: int) -> torch.Tensor:
    """Return a value like this one on a device, so many elements (0 or 1) after its storage begins."""
    with value.fake_mode:
        pairs = torch.empty_strided((2, *value.shape), (1, *value.stride()), dtype=value.dtype, device=device)
        return pairs.select(0, lead)


@contextmanager
def without_paths(target: Target) -> Iterator[None]:
    """Let a target's kernels, and the library with them, not depend on folders of the building machine.

    Triton writes lines of sources into kernels, which name files. And the linker names the symbols of a
    kernel's object file by the path that it is given, and orders them by these names, though torch renames
    them; so each is made in its own folder. This wraps a private function of torch (seen in 2.11; 2.13 calls
    it only where the assembler fails).

    Parameters
    ----------
    target
        For a CPU's, which has no kernels, nothing is done.
    """
    if target.device == "cpu":
        yield
        return
    from torch._inductor import codecache as module  # noqa: PLC0415  2 s

    codecache: Any = module  # which imports the function, and does not say so
    convert = codecache.convert_cubin_to_obj

    def convert_where_it_is(kernel: str, *arguments: str) -> str:
        path = Path(kernel)
        with chdir(path.parent):
            return str(path.parent / convert(path.name, *arguments))

    with (
        mock.patch.dict(os.environ, {"TRITON_DISABLE_LINE_INFO": "1"}),
        mock.patch.object(codecache, "convert_cubin_to_obj", convert_where_it_is),
    ):
        yield
