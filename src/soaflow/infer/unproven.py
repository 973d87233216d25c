"""A process that runs an artifact without measuring itself: what an emulator is given to run.

The invariant: the predictions are those of a job, as both call the same backend with the same views.
"""

import argparse
import importlib.metadata
import sys
from collections.abc import Collection
from pathlib import Path

from soaflow.archives import AOT, FAT
from soaflow.description import read_description
from soaflow.errors import ArtifactError, SoaflowError
from soaflow.infer import backends
from soaflow.infer.tensors import Outputs, check_layouts, input_tensors
from soaflow.soa.batches import batch_ranges
from soaflow.soa.signature import PREDICTION_COLLECTION, Signature
from soaflow.soa.storage import EVENTS, PREDICTIONS, map_blob, mapping_new, read_header
from soaflow.verification import CPU

ROWS, BATCH_ROWS = 500, 200
"""Rows to run at most, as an emulator is slow, and rows of a call: the last one has fewer."""


def predict(
    artifact: Path | str, events: Path | str, predictions: Path | str, *, accept: Collection[str] = ()
) -> None:
    """Run an AOT artifact over the first rows of an events file, batch by batch.

    Parameters
    ----------
    artifact
        Its passport lies beside it.
    events, predictions
        The file to read and the file to write.
    accept
        What need not fit; see `soaflow.verification.verify_artifact`.

    Raises
    ------
    ArtifactError
        If it is no AOT artifact, or does not fit this machine.
    StorageError
        If the events file is not valid or has other layouts.
    OutputError
        If the predictions cannot be written.
    """
    description = read_description(artifact)
    if description.kind not in (AOT, FAT):
        raise ArtifactError(f"{artifact} is of kind {description.kind}: name an AOT artifact")
    signature = Signature.from_mapping(description.signature, artifact)
    if description.dtype == "float64":
        signature = signature.with_float64_outputs()
    header = read_header(events, EVENTS)
    check_layouts(header, signature)
    blobs = {name: map_blob(header, name) for name in signature.collections}
    backend = backends.aot(
        artifact,
        Signature.from_mapping(description.signature, artifact),
        accept=accept,
        without_torch=True,
    )
    rows = min(ROWS, blobs[signature.sliced_collection].placement.rows)
    inputs = input_tensors(signature, blobs, BATCH_ROWS, backend.tensors)
    attributes = {
        "model": description.model,
        "variant": "_".join((*description.targets, description.profile)).replace("-", "_"),
        "computing_dtype": description.dtype,
        "torch_version": importlib.metadata.version("torch"),
        **{key: str(header.attributes[key]) for key in ("dataset", "shard") if key in header.attributes},
        **{f"{name}_layout_sha256": blob.placement.layout.digest() for name, blob in blobs.items()},
    }
    placements = {PREDICTION_COLLECTION: signature.output_layout.place(rows)}
    with mapping_new(predictions, PREDICTIONS, placements, attributes) as written:
        outputs = Outputs.mapped(signature, written[PREDICTION_COLLECTION], backend.tensors)
        for index, (begin, end) in enumerate(batch_ranges(rows, BATCH_ROWS)):
            tensors = [tensor.batch(index, begin, end) for tensor in inputs]
            backend.check(tensors)
            backend.run_batch(tensors, outputs, begin, end)


def main() -> int:
    """Run what the command line names; an error is one sentence."""
    parser = argparse.ArgumentParser(prog="soaflow.infer.unproven")
    for name in ("artifact", "events", "predictions"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--accept-cpu", action="store_true")
    arguments = parser.parse_args()
    try:
        predict(
            arguments.artifact,
            arguments.events,
            arguments.predictions,
            accept=[CPU] if arguments.accept_cpu else [],
        )
    except SoaflowError as error:
        print(f"soaflow: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
