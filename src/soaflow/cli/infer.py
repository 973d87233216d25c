"""`soaflow infer`: run an artifact on an events file."""

import argparse
import os
from pathlib import Path

from soaflow.archives import FAT as FAT_KIND
from soaflow.archives import JIT, ONNX, PROGRAM
from soaflow.description import Description
from soaflow.errors import ArtifactError
from soaflow.files import check_not_inputs
from soaflow.infer.variants import Backend, Device, Variant
from soaflow.inputs import reading
from soaflow.passport import passport_path
from soaflow.profiles import BALANCED
from soaflow.targets import FAT, NATIVE, find_target
from soaflow.threads import SINGLE_THREAD_VARIABLES
from soaflow.verification import verify_artifact


def run(arguments: argparse.Namespace) -> int:
    """Run a job as the workflow does, with the signature and dtype of the artifact's passport."""
    # NumPy, which verification asks about the CPU, and torch read these variables when they are loaded.
    os.environ.update(SINGLE_THREAD_VARIABLES)
    proof_path = _proof_path(arguments.predictions)
    inputs = arguments.artifact, passport_path(arguments.artifact), arguments.events
    check_not_inputs((arguments.predictions, proof_path), inputs)
    with reading(inputs):
        description = verify_artifact(arguments.artifact, accept=arguments.accept).description
        variant = _variant(arguments, description)
        from soaflow.cli.job import run_artifact  # noqa: PLC0415  loads torch

        proof = run_artifact(
            arguments.artifact,
            description,
            variant,
            accept=arguments.accept,
            events=arguments.events,
            predictions=arguments.predictions,
            proof=proof_path,
        )
    print(f"{arguments.predictions}: {proof.describe()}")
    return 0


def _variant(arguments: argparse.Namespace, description: Description) -> Variant:
    """Return the way to run an artifact; what is compiled runs where it was compiled for."""
    if description.kind == PROGRAM:
        raise ArtifactError(
            f"{arguments.artifact} is a program, from which artifacts are made: name a JIT (.pt), "
            "AOT (.pt2) or ONNX (.onnx) artifact"
        )
    if description.kind in (JIT, ONNX):
        backend, target, profile = Backend(description.kind), NATIVE, BALANCED
        device = arguments.device or "cpu"
    else:
        backend, profile = Backend.AOT, description.profile
        target = FAT if description.kind == FAT_KIND else description.targets[0]
        device = "cpu" if target == FAT else find_target(target).device
        if arguments.device not in (None, device):
            raise ArtifactError(
                f"{arguments.artifact} is compiled for {device}: leave out --device {arguments.device}"
            )
    return Variant(
        name=description.kind,
        backend=backend,
        target=target,
        profile=profile,
        device=Device(device),
        dtype=description.dtype,
        batch_size=arguments.batch_size,
    )


def _proof_path(predictions: Path) -> Path:
    return predictions.parent / f"{predictions.name.removesuffix('.h5')}.proof.json"
