"""The torch.export program of a model: the master from which every AOT artifact is built.

The invariant: its sizes are symbols (B for the rows of a call, one more for each whole collection) and
so are the strides of its inputs and of the tensors that it stores its outputs in, so whatever is compiled
from it is right for any view of a collection.
"""

import copy
import io
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from soaflow.archives import PROGRAM, check_archive
from soaflow.errors import ArtifactError, ExportError
from soaflow.export.archives import Stopwatch, describe, described, hand_over, read_records, toolchain
from soaflow.export.check import check_against_eager, eager_outputs, first_line, returning
from soaflow.export.examples import example_inputs, example_outputs, tracing_shape
from soaflow.export.notices import torch_deprecations_ignored
from soaflow.export.source_lines import keep_source_lines
from soaflow.export.strides import check_strides, keep_stride_ranges, symbolic_strides
from soaflow.models.precision import InPrecision
from soaflow.models.storing import StoringOutputs
from soaflow.passport import Build, Passport
from soaflow.soa.contract import RETURNED, STORED
from soaflow.soa.signature import RowRange, Signature


def write_program(
    model: nn.Module,
    signature: Signature,
    path: Path | str,
    *,
    model_name: str,
    dtype: str,
    origin: dict[str, Any],
    store_outputs: bool = True,
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
    store_outputs
        Whether a call stores the outputs in tensors that follow its inputs, and does not return them.
        Where an output is not floating they are returned all the same: a store could cut values off unseen.

    Raises
    ------
    ModelError
        If the model does not fit the signature, or has its inputs in another order.
    ExportError
        If the model cannot be exported, or its program differs from it.
    OutputError
        If the files cannot be written.
    """
    stopwatch = Stopwatch.start()
    names = [spec.name for spec in signature.inputs]
    eager = InPrecision(model, getattr(torch, dtype), names).eval()
    outputs_are = STORED if store_outputs and signature.has_floating_outputs else RETURNED
    computed = signature.computed_in(dtype)
    description = describe(
        PROGRAM, signature, model_name=model_name, dtype=dtype, origin=origin, outputs_are=outputs_are
    )
    program = export_program(eager, computed, model_name, outputs_are=outputs_are)
    archive = described(read_records(program_bytes(program)), description)
    figures = check_against_eager(
        returning(eager_program(read_program_bytes(archive)), computed, outputs_are),
        eager,
        computed,
        model_name=model_name,
        what="program",
        dtype=dtype,
    )
    build = Build(toolchain(), {"strict": False, "symbolic_strides": True}, {}, figures.to_mapping())
    return hand_over(path, archive, description, {PROGRAM: build}, {PROGRAM: stopwatch.made()})


def export_program(
    model: nn.Module, signature: Signature, model_name: str, *, outputs_are: str = RETURNED
) -> ExportedProgram:
    """Export a model with symbolic rows and strides.

    Parameters
    ----------
    model
        Called with the inputs, one by one.
    signature
        As it is for what the model computes in.
    model_name
        For errors.
    outputs_are
        `RETURNED`, or `STORED` in tensors that follow the inputs.

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
    if outputs_are == STORED:
        model = StoringOutputs(model, len(inputs)).eval()
    return export_call(model, signature, model_name, outputs_are=outputs_are)


def export_call(
    model: nn.Module, signature: Signature, model_name: str, *, outputs_are: str
) -> ExportedProgram:
    """Export what is called with a program's tensors, whatever it returns.

    Parameters
    ----------
    model
        Called with the inputs and, if the program stores its outputs, a tensor for each of them.
    signature
        As it is for what the program computes in.
    model_name
        For errors.
    outputs_are
        `RETURNED` or `STORED`, of the program.

    Raises
    ------
    ExportError
        As `export_program`.
    """
    tensors, symbols = example_call(signature, outputs_are), _row_symbols(signature)
    with torch.no_grad():
        try:
            with symbolic_strides(tensors):
                program = torch.export.export(
                    model,
                    tensors,
                    dynamic_shapes=_for_parameters(model, symbols[: len(tensors)]),
                    strict=False,
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


def example_call(signature: Signature, outputs_are: str) -> tuple[torch.Tensor, ...]:
    """Return the tensors that a program is exported with: the inputs, and the outputs if it stores them."""
    shape = tracing_shape(signature)
    outputs = example_outputs(signature, shape) if outputs_are == STORED else ()
    return (*example_inputs(signature, shape, seed=0), *outputs)


def program_bytes(program: ExportedProgram) -> bytes:
    """Return a program as the bytes of its file, with source lines but without the paths of this machine."""
    program = copy.copy(program)
    keep_source_lines(program.graph.nodes)
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
    check_archive(path, PROGRAM)
    try:
        return read_program_bytes(Path(path).read_bytes())
    except Exception as error:  # torch lets the errors of whatever it stumbles over through
        raise ArtifactError(
            f"{path} cannot be read by torch {torch.__version__}: export the program again"
        ) from error


def eager_program(program: ExportedProgram) -> nn.Module:
    """Return a program as a module that runs eagerly."""
    # The guards hold what the tracing saw, such as S != B, not what the results depend on.
    return program.module(check_guards=False)


def _for_parameters(model: nn.Module, symbols: tuple[Any, ...]) -> tuple[Any, ...]:
    """Group the symbols as the parameters are: `forward(*tensors)` has one for all."""
    return (symbols,) if isinstance(model, StoringOutputs) else symbols


def _row_symbols(signature: Signature) -> tuple[dict[int, Any] | None, ...]:
    """Return which dimensions of the inputs, and of the outputs as far as they are stored, are symbols."""
    batch = Dim("B", min=1)
    whole = {name: Dim(f"N_{name}", min=0) for name in signature.collections}
    symbols: dict[RowRange, Any] = {RowRange.SLICED: batch}
    inputs = (
        None if spec.rows is RowRange.BATCH_BEGIN else {0: symbols.get(spec.rows, whole.get(spec.collection))}
        for spec in signature.inputs
    )
    return (*inputs, *({0: batch} for _ in signature.outputs))
