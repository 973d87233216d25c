"""The ONNX artifact: the model for every framework that has onnxruntime or another runtime of ONNX.

The invariant: an artifact handed over has been compared with the eager model at other sizes and values, in
onnxruntime on one thread, and holds nothing of the machine that made it. ONNX knows no strides: a caller
gives row-major tensors, so whoever has views of collections copies them.

It is made from the eager model and not from the program: the program stores its outputs in tensors of the
caller's and guards the strides of its inputs, and ONNX can say neither.
"""

import importlib.metadata
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from soaflow.archives import ONNX
from soaflow.description import Description
from soaflow.errors import ExportError
from soaflow.export.archives import Stopwatch, describe, hand_over, toolchain
from soaflow.export.check import as_tensors, check_against_eager, eager_outputs, first_line
from soaflow.export.examples import example_inputs, tracing_shape
from soaflow.export.notices import torch_deprecations_ignored
from soaflow.models.onnx_sessions import OnnxSession
from soaflow.models.precision import InPrecision
from soaflow.onnx_files import DESCRIPTION_KEY, OPSET, serialized
from soaflow.passport import Build, Passport
from soaflow.soa.contract import ROW_MAJOR
from soaflow.soa.signature import RowRange, Signature
from soaflow.soa.tensors import row_major

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def write_onnx(
    model: nn.Module,
    signature: Signature,
    path: Path | str,
    *,
    model_name: str,
    dtype: str,
    origin: dict[str, Any],
) -> Passport:
    """Make a model's ONNX artifact, check it against the eager model, and write it.

    The bytes are the same each time.

    Parameters
    ----------
    model
        With its final weights.
    signature
        Its inputs and outputs.
    path
        Of the artifact, ending in `.onnx`.
    model_name
        For the passport and errors.
    dtype
        What the model is to compute in, such as `"float32"`; onnxruntime has no kernels for `"bfloat16"` on
        the CPU, and none for convolutions in `"float64"`.
    origin
        What the model was made from, for the passport.

    Raises
    ------
    ModelError
        If the model does not fit the signature, or has its inputs in another order.
    ExportError
        If the model cannot be exported or run by onnxruntime, or the result differs from it.
    OutputError
        If the files cannot be written.
    """
    stopwatch = Stopwatch.start()
    names = [spec.name for spec in signature.inputs]
    eager = InPrecision(model, getattr(torch, dtype), names).eval()
    description = describe(
        ONNX, signature, model_name=model_name, dtype=dtype, origin=origin, inputs_are=ROW_MAJOR
    )
    archive = onnx_bytes(eager, signature, description)
    try:
        session = OnnxSession(archive)
    except Exception as error:
        raise ExportError(
            f"onnxruntime cannot run model {model_name} in {dtype}: {first_line(error)}; choose another "
            "dtype or leave the onnx variant out for this model"
        ) from error
    figures = check_against_eager(
        lambda *inputs: session(*map(row_major, inputs)),
        eager,
        signature,
        model_name=model_name,
        what="ONNX artifact",
        dtype=dtype,
    )
    versions = {package: importlib.metadata.version(package) for package in _PACKAGES}
    build = Build(toolchain() | versions, {"opset": OPSET}, {}, figures.to_mapping())
    return hand_over(path, archive, description, {ONNX: build}, {ONNX: stopwatch.made()})


def onnx_bytes(model: nn.Module, signature: Signature, description: Description) -> bytes:
    """Return a model as the bytes of an ONNX file that holds its weights and its description.

    Raises
    ------
    ModelError
        If the model does not fit the signature.
    ExportError
        If the model cannot be exported.
    """
    examples = example_inputs(signature, tracing_shape(signature), seed=0)
    inputs = tuple(row_major(tensor) for tensor in examples)
    rows = tuple(
        None if spec.rows is RowRange.BATCH_BEGIN else {0: torch.export.Dim.DYNAMIC}
        for spec in signature.inputs
    )
    with torch.no_grad():
        expected = as_tensors(eager_outputs(model, signature, inputs, description.model))
    proto = export_graph(
        model,
        inputs,
        rows,
        input_names=[spec.name for spec in signature.inputs],
        output_names=[spec.name for spec in signature.outputs],
        name=description.model,
    )
    assert len(proto.graph.output) == len(expected)
    _name_sizes(proto.graph, signature)
    _strip(proto)
    proto.metadata_props.add(key=DESCRIPTION_KEY, value=description.to_json().decode())
    return serialized(proto)


def export_graph(
    module: nn.Module,
    inputs: tuple[torch.Tensor, ...],
    rows: Sequence[dict[int, Any] | None],
    *,
    input_names: Sequence[str],
    output_names: Sequence[str],
    name: str,
) -> onnx.ModelProto:
    """Export what can be called with row-major tensors.

    Parameters
    ----------
    module
        The model, or a part of one.
    inputs
        An example of its call.
    rows
        Of each of them the sizes that may change, as `torch.export` takes them.
    input_names, output_names
        In the graph.
    name
        Of the model, for errors.

    Raises
    ------
    ExportError
        If it cannot be exported.
    """
    with torch.no_grad(), torch_deprecations_ignored(), _exporter_silent():
        try:
            program = torch.export.export(module, inputs, dynamic_shapes=tuple(rows), strict=False)
            exported = torch.onnx.export(
                program,
                (),
                input_names=list(input_names),
                output_names=list(output_names),
                opset_version=OPSET,
                external_data=False,
                dynamo=True,
                verbose=False,
            )
            assert exported is not None
            proto: onnx.ModelProto = exported.model_proto
        except Exception as error:
            raise ExportError(
                f"model {name} cannot be exported to ONNX: {first_line(error)}; rewrite it, or "
                "leave the onnx variant out for this model"
            ) from error
    _index_in_int64(proto.graph)
    return proto


@contextmanager
def _exporter_silent() -> Iterator[None]:
    """Silence that torchvision is not installed, which no model of a signature needs."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _index_in_int64(graph: onnx.GraphProto) -> None:
    """Convert the indices of each ScatterND, which the exporter leaves in int32: ONNX takes int64 only."""
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        copied = onnx.NodeProto.FromString(node.SerializeToString())
        if node.op_type == "ScatterND":
            wide = f"{node.name}_indices"
            nodes.append(
                onnx.helper.make_node("Cast", [node.input[1]], [wide], wide, to=onnx.TensorProto.INT64)
            )
            copied.input[1] = wide
        nodes.append(copied)
    del graph.node[:]
    graph.node.extend(nodes)


def _name_sizes(graph: onnx.GraphProto, signature: Signature) -> None:
    """Name the rows as the contract does, B and N, which the exporter gives a number."""
    for spec, value in zip(signature.inputs, graph.input, strict=True):
        if spec.rows is not RowRange.BATCH_BEGIN:
            symbol = "B" if spec.rows is RowRange.SLICED else f"N_{spec.collection}"
            value.type.tensor_type.shape.dim[0].dim_param = symbol
    for value in graph.output:
        value.type.tensor_type.shape.dim[0].dim_param = "B"


def _strip(proto: onnx.ModelProto) -> None:
    """Leave out what no runtime needs: names of Python's, paths of this machine, sizes in between."""
    del proto.metadata_props[:]
    del proto.graph.value_info[:]
    proto.doc_string = ""
    graph = proto.graph
    for entry in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        entry.doc_string = ""
        del entry.metadata_props[:]
