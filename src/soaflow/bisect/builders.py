"""First parts of a program, built as an artifact was.

The invariant: target, profile and compiler's options are those that the artifact's description names; the
example of the export is that of every program, with symbolic rows and strides.
"""

from collections.abc import Sequence

import torch

from soaflow.bisect.calls import Inputs, Program
from soaflow.bisect.prefixes import Build, Model, Prefix
from soaflow.bisect.walk import tensors_of
from soaflow.claims import scratch_folder
from soaflow.export.archives import write_records
from soaflow.export.compilation import compile_program
from soaflow.export.notices import tracer_warnings_ignored
from soaflow.export.onnx import export_graph
from soaflow.export.program import example_call, export_call
from soaflow.models.onnx_sessions import OnnxSession
from soaflow.models.packages import load_package
from soaflow.onnx_files import serialized
from soaflow.profiles import find_profile
from soaflow.soa.signature import RowRange
from soaflow.soa.tensors import row_major
from soaflow.targets import find_target


def aot_builder(program: Program, target_name: str, profile_name: str) -> Build:
    """Return what compiles first parts of a program with AOTInductor.

    Building raises `ExportError` if a part cannot be exported or compiled.

    Parameters
    ----------
    program
        That the parts are of.
    target_name, profile_name
        Of the artifact.
    """
    target, profile = find_target(target_name), find_profile(profile_name)

    def build(prefix: Prefix) -> Model:
        name = f"{program.description.model} up to {prefix.last.name}"
        exported = export_call(prefix.module, program.signature, name, outputs_are=program.outputs_are)
        with scratch_folder() as folder:
            compiling = folder / "compiling"
            compiling.mkdir()
            compiled = compile_program(exported, target, profile, compiling, name)
            package = folder / "prefix.pt2"
            package.write_bytes(write_records(compiled.records))
            return load_package(package)

    return build


def jit_builder(program: Program) -> Build:
    """Return what traces and freezes first parts of a program, as TorchScript artifacts are made."""
    example = example_call(program.signature, program.outputs_are)

    def build(prefix: Prefix) -> Model:
        with torch.no_grad(), tracer_warnings_ignored():
            traced = torch.jit.trace(  # type: ignore[no-untyped-call]
                prefix.module.eval(), example, check_trace=False
            )
            frozen = torch.jit.freeze(traced)

        def call(tensors: Inputs) -> Sequence[torch.Tensor]:
            with torch.no_grad():
                return tensors_of(frozen(*tensors))

        return call

    return build


def onnx_builder(program: Program) -> Build:
    """Return what exports first parts of a program to ONNX and runs them in onnxruntime.

    Building raises `ExportError` if a part cannot be exported.
    """
    signature = program.signature
    example = tuple(map(row_major, example_call(signature, program.outputs_are)))
    fixed = [spec.rows is RowRange.BATCH_BEGIN for spec in signature.inputs]
    fixed += [False] * (len(example) - len(fixed))
    rows = [None if one else {0: torch.export.Dim.DYNAMIC} for one in fixed]
    names = [f"input_{number}" for number in range(len(example))]

    def build(prefix: Prefix) -> Model:
        name = f"{program.description.model} up to {prefix.last.name}"
        outputs = [f"output_{number}" for number in range(len(prefix.live))]
        graph = export_graph(prefix.module, example, rows, input_names=names, output_names=outputs, name=name)
        session = OnnxSession(serialized(graph))
        return lambda tensors: session(*map(row_major, tensors))

    return build
