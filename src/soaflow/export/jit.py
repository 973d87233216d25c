"""The TorchScript artifact of a model: what CMSSW runs today.

A trace records the operations of one example call, so a model that asks for its batch size or branches
on values is recorded wrongly, and `torch.jit.trace` looks only at the example again. The invariant: an
artifact handed over has been compared with the eager model at other sizes, strides and values.

TorchScript is deprecated in favour of torch.export; the program stays the master.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from soaflow.archives import JIT
from soaflow.errors import ConfigError, ExportError
from soaflow.export.archives import Stopwatch, describe, described, hand_over, read_records, toolchain
from soaflow.export.check import check_against_eager, eager_outputs, first_line
from soaflow.export.examples import example_inputs, tracing_shape
from soaflow.export.notices import tracer_warnings_ignored
from soaflow.models.precision import InPrecision
from soaflow.passport import Build, Passport
from soaflow.soa.signature import Signature

MODES = ("trace", "script")
"""Record an example call, or compile the Python source, which keeps branches on values."""


def write_jit(
    model: nn.Module,
    signature: Signature,
    path: Path | str,
    *,
    model_name: str,
    dtype: str,
    origin: dict[str, Any],
    mode: str = "trace",
) -> Passport:
    """Make a model's TorchScript artifact, check it against the eager model, and write it.

    The bytes are the same each time for `"trace"` in a fresh process, and for `"script"` if that has
    `PYTHONHASHSEED` set too.

    Parameters
    ----------
    model
        With its final weights.
    signature
        Its inputs and outputs.
    path
        Of the artifact, ending in `.pt`.
    model_name
        For the passport and errors.
    dtype
        What the model is to compute in, such as `"float32"`.
    origin
        What the model was made from, for the passport.
    mode
        One of `MODES`.

    Raises
    ------
    ConfigError
        If there is no such mode.
    ModelError
        If the model does not fit the signature, or has its inputs in another order.
    ExportError
        If the model cannot be traced or scripted, or the result differs from it.
    OutputError
        If the files cannot be written.
    """
    if mode not in MODES:
        raise ConfigError(f"key 'jit' of model {model_name} is {mode!r}: choose one of {', '.join(MODES)}")
    stopwatch = Stopwatch.start()
    names = [spec.name for spec in signature.inputs]
    eager = InPrecision(model, getattr(torch, dtype), names).eval()
    description = describe(JIT, signature, model_name=model_name, dtype=dtype, origin=origin)
    records = read_records(jit_bytes(eager, signature, mode, model_name))
    archive = described(_without_sources(records), description)
    with tracer_warnings_ignored():
        loaded = torch.jit.load(  # type: ignore[no-untyped-call]
            io.BytesIO(archive), map_location="cpu"
        )
    figures = check_against_eager(
        loaded, eager, signature, model_name=model_name, what="TorchScript artifact", dtype=dtype
    )
    build = Build(toolchain(), {"mode": mode, "frozen": True}, {}, figures.to_mapping())
    return hand_over(path, archive, description, {JIT: build}, {JIT: stopwatch.made()})


def jit_bytes(model: nn.Module, signature: Signature, mode: str, model_name: str) -> bytes:
    """Return a model as the bytes of a frozen TorchScript file.

    Raises
    ------
    ModelError
        If the model does not fit the signature.
    ExportError
        If the model cannot be traced or scripted.
    """
    inputs = example_inputs(signature, tracing_shape(signature), seed=0)
    stream = io.BytesIO()
    with torch.no_grad(), tracer_warnings_ignored():
        eager_outputs(model, signature, inputs, model_name)
        try:
            module = (
                torch.jit.script(model)
                if mode == "script"
                else torch.jit.trace(model, inputs, check_trace=False)  # type: ignore[no-untyped-call]
            )
            torch.jit.save(torch.jit.freeze(module), stream)
        except Exception as error:
            other = MODES[1 - MODES.index(mode)]
            raise ExportError(
                f"model {model_name} cannot be exported to TorchScript by {mode}: {first_line(error)}; "
                f"rewrite it or set 'jit: {other}'"
            ) from error
    return stream.getvalue()


def _without_sources(records: Mapping[str, bytes]) -> dict[str, bytes]:
    """Leave out the records that name source files, which no loader needs."""
    return {name: content for name, content in records.items() if not name.endswith(".debug_pkl")}
