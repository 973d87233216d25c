"""What an ONNX artifact may hold, checked before onnxruntime opens it; nothing of it is run.

The invariant: what `check_onnx` accepts is byte for byte what its own parse is written as again, has ONNX's
own operators of one version only, holds all its weights itself, and carries nothing but soaflow's description
beside the graph: no path to another file, no library of operators, no settings for onnxruntime. torch is not
imported. Format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from soaflow.errors import ArtifactError

SUFFIX = ".onnx"

OPSET = 20
"""Version of ONNX's operators; of 2023, so that older releases of onnxruntime know it too (1.17 on)."""

DESCRIPTION_KEY = "soaflow"
"""Of the metadata property in which soaflow describes an artifact."""

LARGEST_FILE = 1 << 30
"""Bytes; a larger one is not read. Protobuf itself ends at 2 GiB."""

_REMEDY = "do not use it, and export it again"


def parse_onnx(path: Path | str) -> Any:
    """Return the `onnx.ModelProto` of a file, of the fields that ONNX has.

    Raises
    ------
    ArtifactError
        If the file cannot be read, is too large, is no ONNX, or is not as its parse is written again.
    """
    import onnx  # noqa: PLC0415  of all that verifies, only an ONNX file needs it
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    try:
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > LARGEST_FILE:
                raise ArtifactError(f"{path} has {size} bytes, and {LARGEST_FILE} are the most: {_REMEDY}")
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise ArtifactError(f"{path} is no ONNX: {_REMEDY}") from error
    model.DiscardUnknownFields()  # type: ignore[no-untyped-call, unused-ignore]
    if serialized(model) != content:
        raise ArtifactError(f"{path} holds more than an ONNX model, or is written in another way: {_REMEDY}")
    return model


def serialized(model: Any) -> bytes:
    """Return the bytes of an `onnx.ModelProto`, the same for equal models."""
    return bytes(model.SerializeToString(deterministic=True))


def check_onnx(path: Path | str) -> dict[str, int]:
    """Check that a file is an ONNX artifact, with all that such a one has and nothing else.

    Returns
    -------
    dict of str to int
        How often each operator occurs.

    Raises
    ------
    ArtifactError
        As `parse_onnx`, and if an operator is not ONNX's own or of another version, a weight lies in another
        file, or the model holds functions, training or properties that soaflow does not write.
    """
    model = parse_onnx(path)
    versions = [(entry.domain, entry.version) for entry in model.opset_import]
    operators = _operators(model, path)
    if versions != [("", OPSET)]:
        shown = ", ".join(f"'{domain}' {version}" for domain, version in versions) or "none"
        raise ArtifactError(
            f"{path} uses the operator sets {shown}, and must use version {OPSET} of ONNX's own: {_REMEDY}"
        )
    for name, found in (("functions", model.functions), ("training", model.training_info)):
        if found:
            raise ArtifactError(f"{path} holds {name}, which no ONNX artifact of soaflow does: {_REMEDY}")
    if [entry.key for entry in model.metadata_props] != [DESCRIPTION_KEY]:
        keys = ", ".join(f"'{entry.key}'" for entry in model.metadata_props) or "none"
        raise ArtifactError(
            f"{path} has the properties {keys}, and must have one called '{DESCRIPTION_KEY}': {_REMEDY}"
        )
    return operators


def read_onnx_description(path: Path | str, largest: int) -> bytes:
    """Return what an ONNX artifact says of itself, as JSON.

    Parameters
    ----------
    path
        Of the file.
    largest
        Most bytes that it may have.

    Raises
    ------
    ArtifactError
        If the file is not as `parse_onnx` accepts it, or the property is not there or larger.
    """
    found = [entry.value for entry in parse_onnx(path).metadata_props if entry.key == DESCRIPTION_KEY]
    if len(found) != 1:
        raise ArtifactError(
            f"{path} has {len(found)} properties '{DESCRIPTION_KEY}', and must have one: {_REMEDY}"
        )
    content = str(found[0]).encode()
    if len(content) > largest:
        raise ArtifactError(
            f"{path} has a property '{DESCRIPTION_KEY}' of {len(content)} bytes, and {largest} are the most "
            f"it can be: {_REMEDY}"
        )
    return content


def _operators(model: Any, path: Path | str) -> dict[str, int]:
    from onnx import TensorProto, defs  # noqa: PLC0415  as above

    counts: dict[str, int] = {}
    for graph in _graphs(model.graph):
        if graph.sparse_initializer:
            raise ArtifactError(f"{path} has sparse weights, which no artifact of soaflow has: {_REMEDY}")
        for node in graph.node:
            if node.domain or not defs.has(node.op_type):
                name = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
                raise ArtifactError(
                    f"{path} has the operator '{name}', which is not one of ONNX's own: {_REMEDY}"
                )
            counts[node.op_type] = counts.get(node.op_type, 0) + 1
        for tensor in _tensors(graph):
            if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
                raise ArtifactError(
                    f"{path} keeps the tensor '{tensor.name}' in another file, and must hold it: {_REMEDY}"
                )
    return dict(sorted(counts.items()))


def _graphs(graph: Any) -> Iterator[Any]:
    """Yield a graph and all graphs inside its nodes, such as the branches of an If."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)
            for inner in attribute.graphs:
                yield from _graphs(inner)


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            yield attribute.sparse_tensor.values
            yield attribute.sparse_tensor.indices
            for sparse in attribute.sparse_tensors:
                yield from (sparse.values, sparse.indices)
