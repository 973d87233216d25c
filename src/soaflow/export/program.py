"""The torch.export program of a model: the master from which every AOT artifact is built.

The invariant: its sizes are symbols (B for the rows of a call, one more for each whole collection) and
so are the strides of its inputs, so whatever is compiled from it is right for any view of a collection.
"""

import copy
import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from soaflow.errors import ArtifactError, ExportError
from soaflow.export.archives import hand_over, toolchain
from soaflow.export.check import check_against_eager, eager_outputs, first_line
from soaflow.export.examples import example_inputs, tracing_shape
from soaflow.export.notices import torch_deprecations_ignored
from soaflow.export.strides import check_strides, keep_stride_ranges, symbolic_strides
from soaflow.models.precision import InPrecision
from soaflow.passport import PROGRAM, Passport
from soaflow.soa.signature import RowRange, Signature


def write_program(
    model: nn.Module,
    signature: Signature,
    path: Path | str,
    *,
    model_name: str,
    dtype: str,
    origin: dict[str, Any],
) -> Passport:
    """Export a model's program, check it against the eager model, and write it with its passport.

    Parameters
    ----------
    model
        With its final weights.
    signature
        Its inputs and outputs.
    path
        Of the program, ending in `.pt2`.
    model_name
        For the passport and errors.
    dtype
        What the model is to compute in, such as `"float32"`.
    origin
        What the model was made from, for the passport.

    Raises
    ------
    ModelError
        If the model does not fit the signature, or has its inputs in another order.
    ExportError
        If the model cannot be exported, or its program differs from it.
    OutputError
        If the files cannot be written.
    """
    names = [spec.name for spec in signature.inputs]
    eager = InPrecision(model, getattr(torch, dtype), names).eval()
    program = export_program(eager, signature, model_name)
    archive = program_bytes(program)
    figures = check_against_eager(
        eager_program(read_program_bytes(archive)),
        eager,
        signature,
        model_name=model_name,
        what="program",
        dtype=dtype,
    )
    return hand_over(
        path,
        archive,
        signature,
        figures,
        kind=PROGRAM,
        model_name=model_name,
        dtype=dtype,
        target="",
        origin=origin,
        options={"strict": False, "strides": "symbols"},
        built_by=toolchain(),
    )


def export_program(model: nn.Module, signature: Signature, model_name: str) -> ExportedProgram:
    """Export a model with symbolic rows and strides.

    Raises
    ------
    ModelError
        If the model does not fit the signature.
    ExportError
        If the model cannot be exported, fixes its batch size, or asks about strides.
    """
    inputs = example_inputs(signature, tracing_shape(signature), seed=0)
    with torch.no_grad():
        eager_outputs(model, signature, inputs, model_name)
        try:
            with symbolic_strides(inputs):
                program = torch.export.export(
                    model, inputs, dynamic_shapes=_row_symbols(signature), strict=False
                )
        except ExportError:
            raise
        except Exception as error:
            raise ExportError(
                f"model {model_name} cannot be exported with symbolic rows: {first_line(error)}; rewrite "
                "what depends on the batch size or on values"
            ) from error
    check_strides(program, model_name)
    keep_stride_ranges(program)
    return program


def program_bytes(program: ExportedProgram) -> bytes:
    """Return a program as the bytes of its file, without the paths of its source files."""
    program = copy.copy(program)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    stream = io.BytesIO()
    torch.export.save(program, stream)
    return stream.getvalue()


def read_program_bytes(archive: bytes) -> ExportedProgram:
    """Read a program from the bytes of its file."""
    with torch_deprecations_ignored():
        return torch.export.load(io.BytesIO(archive))


def read_program(path: Path | str) -> ExportedProgram:
    """Read a program's file.

    Raises
    ------
    ArtifactError
        If it is not there or not a whole program.
    """
    try:
        archive = Path(path).read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}; export the program again") from error
    try:
        damaged = zipfile.ZipFile(io.BytesIO(archive)).testzip()
        if damaged is None:
            return read_program_bytes(archive)
    except Exception as error:
        raise ArtifactError(f"{path} is corrupt or no exported program: export it again") from error
    raise ArtifactError(f"{path} is corrupt in its part {damaged}: export it again")


def eager_program(program: ExportedProgram) -> nn.Module:
    """Return a program as a module that runs eagerly."""
    # The guards hold what the tracing saw, such as S != B, not what the results depend on.
    return program.module(check_guards=False)


def _row_symbols(signature: Signature) -> tuple[dict[int, Any] | None, ...]:
    batch = Dim("B", min=1)
    whole = {name: Dim(f"N_{name}", min=0) for name in signature.collections}
    symbols: dict[RowRange, Any] = {RowRange.SLICED: batch}
    return tuple(
        None if spec.rows is RowRange.BATCH_BEGIN else {0: symbols.get(spec.rows, whole.get(spec.collection))}
        for spec in signature.inputs
    )
