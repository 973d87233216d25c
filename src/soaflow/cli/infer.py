"""`soaflow infer`: run an artifact on an events file."""

import argparse
import os
from pathlib import Path

from soaflow.errors import ArtifactError
from soaflow.files import check_not_inputs
from soaflow.infer.variants import NATIVE_TARGET, Backend, Device, Variant
from soaflow.passport import PROGRAM, Passport, passport_path, verify_artifact
from soaflow.threads import SINGLE_THREAD_VARIABLES


def run(arguments: argparse.Namespace) -> int:
    """Run a job as the workflow does, with the signature and dtype of the artifact's passport."""
    proof_path = _proof_path(arguments.predictions)
    check_not_inputs(
        (arguments.predictions, proof_path),
        (arguments.artifact, passport_path(arguments.artifact), arguments.events),
    )
    passport = verify_artifact(arguments.artifact)
    variant = _variant(arguments, passport)
    os.environ.update(SINGLE_THREAD_VARIABLES)
    # NumPy and torch read those variables when they are loaded, which happens here.
    from soaflow.cli.job import run_artifact  # noqa: PLC0415

    proof = run_artifact(
        arguments.artifact,
        passport,
        variant,
        events=arguments.events,
        predictions=arguments.predictions,
        proof=proof_path,
    )
    print(f"{arguments.predictions}: {proof.describe()}")
    return 0


def _variant(arguments: argparse.Namespace, passport: Passport) -> Variant:
    if passport.kind == PROGRAM:
        raise ArtifactError(
            f"{arguments.artifact} is a program, from which artifacts are made: name a JIT (.pt) or "
            "AOT (.pt2) artifact"
        )
    return Variant(
        name=passport.kind,
        backend=Backend(passport.kind),
        target=passport.target or NATIVE_TARGET,
        device=Device(arguments.device),
        dtype=passport.dtype,
        batch_size=arguments.batch_size,
    )


def _proof_path(predictions: Path) -> Path:
    return predictions.with_name(f"{predictions.name.removesuffix('.h5')}.proof.json")
