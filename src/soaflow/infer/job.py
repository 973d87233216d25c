"""One inference job: a model in one variant over one events file, on one thread, without a copy unsaid.

The invariant: predictions and proof appear together, after the job's own measurement has borne out
its claims; in any error neither does. The input file is mapped, never read. What a variant computes in
float64 is written in float64, whatever the declared outputs: the reference is never rounded.
"""

import contextlib
import importlib.metadata
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from soaflow.files import json_text, replacing
from soaflow.infer.backends import Backend
from soaflow.infer.on_device import device_of
from soaflow.infer.places import Place
from soaflow.infer.proof import Proof, judge_proof
from soaflow.infer.run import MappedEvents, ProvenRun
from soaflow.infer.variants import Variant
from soaflow.soa.layout import Placement
from soaflow.soa.signature import PREDICTION_COLLECTION, Signature
from soaflow.soa.storage import PREDICTIONS, Attribute, MappedBlob, mapping_new


def run_job(
    load: Callable[[], Backend],
    signature: Signature,
    events_path: Path | str,
    predictions_path: Path | str,
    proof_path: Path | str,
    *,
    variant: Variant,
    attributes: Mapping[str, Attribute],
    place: Place | None = None,
) -> Proof:
    """Run a model over all rows of an events file, and prove how.

    Parameters
    ----------
    load
        Verifies and loads the model; called after the file has been checked.
    signature
        Of the model, as declared.
    events_path
        The file to read.
    predictions_path, proof_path
        The files to write: the outputs by row, and the measurement as JSON. Floating outputs have the
        declared dtypes, or float64 if the variant computes in it.
    variant
        How to run; the backend that `load` returns must be the variant's.
    attributes
        Of the predictions file, such as dataset, shard and model. The variant's name, its dtype, the
        version of torch and the SHA-256 of the input layouts are added.
    place
        Where the model runs; by default that of the variant's device.

    Returns
    -------
    Proof
        What `proof_path` holds.

    Raises
    ------
    StorageError
        If the events file is not valid or has other layouts than the signature's.
    DeviceError
        If the variant's device is not there.
    ArtifactError, ContractError
        From `load` and from the backend.
    ModelError
        If the model fails, or returns other outputs than the signature's.
    ProofError
        If the measurement contradicts what a job claims.
    OutputError
        If an output cannot be written.
    """
    signature = signature.computed_in(variant.dtype)
    events = MappedEvents.of(events_path, signature, variant.device)
    placements = {PREDICTION_COLLECTION: signature.output_layout.place(events.rows)}
    named = {
        **attributes,
        "variant": variant.name,
        "computing_dtype": variant.dtype,
        "torch_version": importlib.metadata.version("torch"),
        **{f"{name}_layout_sha256": blob.placement.layout.digest() for name, blob in events.blobs.items()},
    }
    label = f"model {attributes.get('model', '')}, variant {variant.name}, {events_path}"
    with device_of(variant) if place is None else contextlib.nullcontext():
        run = ProvenRun(load, signature, events, variant, place)
        with _written_together(predictions_path, proof_path, placements, named) as (written, proof_file):
            proof = run.into(written, label=label)
            judge_proof(proof, str(predictions_path))
            proof_file.write_text(json_text(proof.to_mapping()), encoding="utf-8")
    return proof


@contextlib.contextmanager
def _written_together(
    predictions_path: Path | str,
    proof_path: Path | str,
    placements: Mapping[str, Placement],
    attributes: Mapping[str, Attribute],
) -> Iterator[tuple[MappedBlob, Path]]:
    """Give the mapped predictions and a path for the proof: both appear after the block, or neither."""
    appeared = False
    try:
        with replacing(proof_path) as temporary_proof:
            with mapping_new(predictions_path, PREDICTIONS, placements, attributes) as written:
                yield written[PREDICTION_COLLECTION], temporary_proof
            appeared = True
    except BaseException:
        if appeared:
            Path(predictions_path).unlink(missing_ok=True)
        raise
