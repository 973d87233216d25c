"""The backend of a variant, from the files that it is made of."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from soaflow.files import sha256_of_file
from soaflow.infer import backends
from soaflow.infer.variants import Backend, Variant
from soaflow.models.loading import build_model
from soaflow.models.weights import read_weights
from soaflow.soa.signature import Signature


def load_backend(
    variant: Variant,
    signature: Signature,
    *,
    artifact: Path | str | None,
    weights: Path | str | None,
    class_path: str,
    arguments: Mapping[str, Any],
    seed: int,
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

    Raises
    ------
    ModelError
        If the model cannot be built.
    ArtifactError
        If a file is corrupt, or does not fit the signature or the model.
    """
    if variant.backend is Backend.EAGER:
        assert weights is not None
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
    return load_artifact(variant, signature, artifact)


def load_artifact(
    variant: Variant, signature: Signature, artifact: Path | str, *, accept: Collection[str] = ()
) -> backends.Backend:
    """Load the artifact that a variant runs.

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

    Raises
    ------
    ArtifactError
        If the file is corrupt, or does not fit the signature or this machine.
    """
    if variant.backend is Backend.ONNX:
        return backends.onnx(artifact, signature)
    load = backends.jit if variant.backend is Backend.JIT else backends.aot
    return load(artifact, signature, variant.device, accept=accept)
