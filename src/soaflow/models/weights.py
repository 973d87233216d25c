"""Weights files: a plain state dict, equal in bytes for equal weights.

The invariant: loading a weights file runs no code of the file's (`weights_only`), and either fills
every parameter and buffer of the module or changes none.
"""

import io
from pathlib import Path

import torch
from torch import nn

from soaflow.errors import ArtifactError
from soaflow.files import replacing


def write_weights(path: Path | str, module: nn.Module) -> None:
    """Write a module's parameters and buffers, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    state = {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}
    content = io.BytesIO()  # given a path, torch.save would store the temporary file's name
    torch.save(state, content)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def read_weights(path: Path | str, module: nn.Module) -> None:
    """Fill a module's parameters and buffers from a weights file.

    Parameters
    ----------
    path
        Of a state dict, from `write_weights` or from `torch.save(model.state_dict(), path)`.
    module
        On any device and in any precision; values are cast to it.

    Raises
    ------
    ArtifactError
        If the file is missing, corrupt or not a state dict, its names or shapes are not the module's,
        or a tensor holds NaN or is not dense and real. The module is then unchanged.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}; name a weights file") from error
    except Exception as error:  # torch lets the errors of whatever it stumbles over through
        raise ArtifactError(
            f"{path} is corrupt or not a weights file: train again, or write it with "
            "torch.save(model.state_dict(), path)"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ArtifactError(
            f"{path} is not a plain state dict: write it with torch.save(model.state_dict(), path)"
        )
    if mismatch := _mismatch(module.state_dict(), state):
        raise ArtifactError(
            f"{path} does not fit {type(module).__name__}: {mismatch}; "
            "give the model the arguments it was trained with, or train it again"
        )
    module.load_state_dict(state)


def _mismatch(expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> str:
    if missing := [name for name in expected if name not in found]:
        return f"'{missing[0]}' is missing{_and_more(missing)}"
    if unknown := [name for name in found if name not in expected]:
        return f"the model has no '{unknown[0]}'{_and_more(unknown)}"
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape:
            return f"'{name}' has shape {list(found[name].shape)}, and the model's has {list(tensor.shape)}"
        if fault := _fault(found[name], tensor):
            return f"'{name}' {fault}"
    return ""


def _fault(found: torch.Tensor, expected: torch.Tensor) -> str:
    if found.layout is not torch.strided or found.is_meta:
        return "is not a dense tensor with values"
    if found.is_complex() and not expected.is_complex():
        return "is complex, and the model's is real"
    return "holds NaN" if found.isnan().any() else ""


def _and_more(names: list[str]) -> str:
    return f", with {len(names) - 1} more" if len(names) > 1 else ""
