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
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from soaflow.errors import ArtifactError
from soaflow.models.packages import load_package
from soaflow.models.precision import InPrecision
from soaflow.passport import AOT, JIT, Passport, verify_artifact
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
    source_sha256
        Of the artifact's file, or of the weights'; empty for a model that is from no file.
    """

    def __init__(
        self,
        program: Callable[..., object],
        check: Callable[[Sequence[torch.Tensor]], None] | None = None,
        source_sha256: str = "",
    ) -> None:
        self.program = program
        self.source_sha256 = source_sha256
        self._check = check

    def __call__(self, inputs: Sequence[torch.Tensor]) -> list[Any]:
        """Run the model.

        Parameters
        ----------
        inputs
            In the signature's order.

        Returns
        -------
        list
            What the model returns, in its order; `soaflow.soa.contract.check_outputs` tells whether that
            is the tensors it must return.

        Raises
        ------
        ContractError
            If the inputs do not hold the artifact's contract.
        """
        if self._check is not None:
            self._check(inputs)
        results = self.run(inputs)
        return list(results) if isinstance(results, list | tuple) else [results]

    def run(self, inputs: Sequence[torch.Tensor]) -> object:
        """Call the program with the inputs."""
        return self.program(*inputs)


class AotBackend(Backend):
    """An AOTInductor artifact, whose program takes one list."""

    def run(self, inputs: Sequence[torch.Tensor]) -> object:
        """Call the program with the list of inputs."""
        return self.program(list(inputs))


def eager(
    model: nn.Module,
    dtype: str,
    device: str = "cpu",
    *,
    names: Sequence[str] | None = None,
    weights_sha256: str = "",
) -> Backend:
    """Return a Python module as a backend that computes in `dtype`.

    Parameters
    ----------
    model
        With its weights.
    dtype
        Such as `"float64"`.
    device
        `"cpu"` or `"cuda"`.
    names
        Of the inputs in the order of the call; see `soaflow.models.precision.forward_inputs`.
    weights_sha256
        Of the file that the weights were read from, if they were.

    Raises
    ------
    ModelError
        If the model does not take inputs of these names in this order.
    """
    program = InPrecision(model, getattr(torch, dtype), names).eval().to(device)
    return Backend(program, source_sha256=weights_sha256)


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
    passport = _verified(path, signature, JIT)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
            program = torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise ArtifactError(f"{path} cannot be loaded as TorchScript: export it again") from error
    return Backend(program, partial(check_inputs, signature), passport.sha256)


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
    passport = _verified(path, signature, AOT)
    return AotBackend(load_package(path, device), partial(check_inputs, signature), passport.sha256)


def _verified(path: Path | str, signature: Signature, kind: str) -> Passport:
    """Return an artifact's passport after a check that file, kind and signature are those expected."""
    passport = verify_artifact(path)
    if passport.kind != kind:
        raise ArtifactError(f"{path} is of kind '{passport.kind}', not '{kind}': name a file of that kind")
    if passport.signature != signature.to_mapping():
        raise ArtifactError(
            f"{path} was exported for other inputs or outputs than the job's: see "
            f"{_differing(passport, signature)}, and export the model again"
        )
    return passport


def _differing(passport: Passport, signature: Signature) -> str:
    mine = signature.to_mapping()
    for part in ("inputs", "outputs"):
        theirs = {spec["name"]: spec for spec in passport.signature.get(part, [])}
        for spec in mine[part]:
            if theirs.pop(spec["name"], None) != spec:
                return f"{part} '{spec['name']}'"
        if theirs:
            return f"{part} '{next(iter(theirs))}'"
    return "the output layout and the order of the tensors"
