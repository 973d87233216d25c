"""The backend of a variant, from the files that it is made of."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from soaflow.files import sha256_of_file
from soaflow.infer import backends
from soaflow.infer.variants import Backend, Device, Variant
from soaflow.soa.signature import Signature
from soaflow.soa.tensor_library import torch_library


def load_backend(
    variant: Variant,
    signature: Signature,
    *,
    artifact: Path | str | None,
    weights: Path | str | None,
    class_path: str,
    arguments: Mapping[str, Any],
    seed: int,
    through_torch: bool = False,
) -> backends.Backend:
    """Load what a variant runs: an artifact, or a Python model with its weights.

    Parameters
    ----------
    variant
        Its backend decides which of the files is used.
    signature
        Of the job; an artifact's must be the same.
    artifact
        For the jit, aot and onnx backends.
    weights
        For the eager backend.
    class_path, arguments, seed
        Of the model, for the eager backend; see `soaflow.models.loading.build_model`.
    through_torch
        As in `load_artifact`.

    Raises
    ------
    ModelError
        If the model cannot be built.
    ArtifactError
        If a file is corrupt, or does not fit the signature or the model.
    """
    if variant.backend is Backend.EAGER:
        from soaflow.models.loading import build_model  # noqa: PLC0415  loads torch, as not every job does
        from soaflow.models.weights import read_weights  # noqa: PLC0415  as above

        assert weights is not None
        torch_library().run_single_threaded()
        model = build_model(class_path, arguments, seed)
        read_weights(weights, model)
        return backends.eager(
            model,
            variant.dtype,
            variant.device,
            names=[spec.name for spec in signature.inputs],
            weights_sha256=sha256_of_file(weights),
        )
    assert artifact is not None
    return load_artifact(variant, signature, artifact, through_torch=through_torch)


def runs_in_torch(variant: Variant) -> bool:
    """Tell whether a variant needs torch itself to run, and not only libtorch or another runtime."""
    return variant.device is not Device.CPU or variant.backend in (Backend.EAGER, Backend.JIT)


def load_artifact(
    variant: Variant,
    signature: Signature,
    artifact: Path | str,
    *,
    accept: Collection[str] = (),
    through_torch: bool = False,
) -> backends.Backend:
    """Load the artifact that a variant runs, without importing torch where the variant needs none.

    Parameters
    ----------
    variant
        Of any backend but eager.
    signature
        Of the job; the artifact's must be the same.
    artifact
        Its passport lies beside it.
    accept
        What need not fit; see `soaflow.verification.verify_artifact`.
    through_torch
        Whether calls take torch's tensors in every variant, so that all are timed alike.

    Raises
    ------
    ArtifactError
        If the file is corrupt, or does not fit the signature or this machine.
    """
    without_torch = not (through_torch or runs_in_torch(variant))
    if variant.backend is Backend.ONNX:
        return backends.onnx(artifact, signature, without_torch=without_torch)
    if variant.backend is Backend.AOT:
        return backends.aot(artifact, signature, variant.device, accept=accept, without_torch=without_torch)
    torch_library().run_single_threaded()
    return backends.jit(artifact, signature, variant.device, accept=accept)
