"""The model as one callable, whatever executes it.

The invariant: each backend takes the input tensors in the signature's order, hands the same tensors
to its `program`, and returns a list of output tensors. `program` is the last Python call before the
model's own code, so whoever replaces it with a watcher sees what reaches the model.

Artifacts run native code and old TorchScript files may unpickle: both are verified against their
passport's SHA-256 before they are opened. `torch._inductor` is never imported: it costs seconds, and
the raw loader needs none of it.
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from soaflow.errors import ArtifactError, ModelError
from soaflow.models.precision import InPrecision
from soaflow.passport import verify_artifact
from soaflow.soa.contract import check_inputs
from soaflow.soa.signature import Signature


class Backend:
    """A model that can be called; the base of all backends.

    Parameters
    ----------
    program
        The last Python call before the model's own code. It takes the input tensors one by one.
    check
        Raises `ContractError` for inputs that the artifact must not be given; None for a model that
        takes any.
    """

    def __init__(
        self,
        program: Callable[..., object],
        check: Callable[[Sequence[torch.Tensor]], None] | None = None,
    ) -> None:
        self.program = program
        self._check = check
        self._checked_rows: set[tuple[int, ...]] = set()

    def __call__(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Run the model.

        Parameters
        ----------
        inputs
            In the signature's order. Two calls of one job differ in their rows and in nothing else
            that a contract speaks of, so each number of rows is checked once.

        Returns
        -------
        list of torch.Tensor
            In the order the model returns them.

        Raises
        ------
        ContractError
            If the inputs do not hold the artifact's contract.
        ModelError
            If the model returns something else than tensors.
        """
        rows = tuple(tensor.shape[0] for tensor in inputs)
        if self._check is not None and rows not in self._checked_rows:
            self._check(inputs)
            self._checked_rows.add(rows)
        return _as_list(self.run(inputs))

    def run(self, inputs: Sequence[torch.Tensor]) -> object:
        """Call the program with the inputs."""
        return self.program(*inputs)


class AotBackend(Backend):
    """An AOTInductor artifact, whose program takes one list."""

    def run(self, inputs: Sequence[torch.Tensor]) -> object:
        """Call the program with the list of inputs."""
        return self.program(list(inputs))


def eager(model: nn.Module, dtype: str, device: str = "cpu") -> Backend:
    """Return a Python module as a backend that computes in `dtype`.

    Parameters
    ----------
    model
        With its weights.
    dtype
        Such as `"float64"`.
    device
        `"cpu"` or `"cuda"`.
    """
    return Backend(InPrecision(model, getattr(torch, dtype)).eval().to(device))


def jit(path: Path | str, signature: Signature, device: str = "cpu") -> Backend:
    """Load a TorchScript artifact.

    Parameters
    ----------
    path
        Of the artifact; its passport lies beside it.
    signature
        Of the job; the artifact's must be the same.
    device
        `"cpu"` or `"cuda"`.

    Raises
    ------
    ArtifactError
        If the artifact is corrupt, is another than its passport's, or has another signature.
    """
    check = _verified(path, signature, "jit")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
            program = torch.jit.load(str(path), map_location=device)
    except RuntimeError as error:
        raise ArtifactError(f"{path} cannot be loaded as TorchScript: export it again") from error
    return Backend(program, check)


def aot(path: Path | str, signature: Signature, device: str = "cpu") -> Backend:
    """Load an AOTInductor artifact with the raw loader, which takes milliseconds.

    Parameters
    ----------
    path
        Of the artifact; its passport lies beside it.
    signature
        Of the job; the artifact's must be the same.
    device
        `"cpu"` or `"cuda"`.

    Raises
    ------
    ArtifactError
        If the artifact is corrupt, is another than its passport's, or has another signature.
    """
    check = _verified(path, signature, "aot")
    try:
        loader = torch._C._aoti.AOTIModelPackageLoader(  # type: ignore[attr-defined]
            str(path), "model", True, 1, 0 if device == "cuda" else -1
        )
    except RuntimeError as error:
        raise ArtifactError(f"{path} cannot be loaded as an AOTInductor package: export it again") from error
    return AotBackend(loader.run, check)
