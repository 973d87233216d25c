"""TorchScript artifacts, loaded where they run.

The invariant: an artifact is frozen, so its weights are constants of its graph; on a GPU they are all there
once it is loaded, and what they alone determine is computed there before the first call.
"""

import warnings
from pathlib import Path
from typing import Any

import torch

from soaflow.errors import ArtifactError


def load_torchscript(path: Path | str, device: str) -> Any:
    """Load an artifact, whose bytes must have been verified, as a module that is called with its inputs.

    Parameters
    ----------
    path
        Of the artifact.
    device
        `"cpu"` or `"cuda"`, which is torch's current GPU.

    Raises
    ------
    ArtifactError
        If it is no TorchScript, or a part of it stays on another device.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        try:
            program: Any = torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise ArtifactError(f"{path} cannot be loaded as TorchScript: export it again") from error
        if device != "cpu":
            freeze_on_device(program, device, path)
    return program


def freeze_on_device(program: Any, device: str, path: Path | str) -> None:
    """Let a frozen artifact compute what depends on its weights alone, on the device that they are on.

    Parameters
    ----------
    program
        As `torch.jit.load` returns it.
    device
        `"cpu"` or `"cuda"`.
    path
        Of the artifact, for errors.

    Raises
    ------
    ArtifactError
        If a weight is on another device.
    """
    torch.jit.run_frozen_optimizations(program)  # type: ignore[attr-defined]
    elsewhere = {tensor.device.type for tensor in constants(program)} - {torch.device(device).type}
    if elsewhere:
        raise ArtifactError(
            f"{path} keeps tensors on {', '.join(sorted(elsewhere))} when it is loaded for {device}: take "
            "backend aot or eager, or let its model name no device"
        )


def constants(program: Any) -> list[torch.Tensor]:
    """Return the tensors that are constants of a frozen artifact's graph."""
    found: list[torch.Tensor] = []
    for node in program.graph.findAllNodes("prim::Constant"):
        kind = node.kindOf("value") if node.hasAttribute("value") else ""
        found += [node.t("value")] if kind == "t" else node.ts("value") if kind == "ts" else []
    return found
