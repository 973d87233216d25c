"""The job behind `soaflow infer`, apart from it because it loads torch.

The invariant: predictions made here can be compared with the workflow's, as they name the dataset and
shard of the events file and the model of the artifact.
"""

from collections.abc import Collection
from pathlib import Path

from soaflow.description import Description
from soaflow.infer.job import run_job
from soaflow.infer.loading import load_artifact
from soaflow.infer.proof import Proof
from soaflow.infer.variants import Variant
from soaflow.soa.signature import Signature
from soaflow.soa.storage import EVENTS, read_header

_OF_THE_EVENTS = ("dataset", "shard")


def run_artifact(
    artifact: Path,
    description: Description,
    variant: Variant,
    *,
    accept: Collection[str],
    events: Path,
    predictions: Path,
    proof: Path,
) -> Proof:
    """Run an artifact over all rows of an events file.

    Parameters
    ----------
    artifact
        The file.
    description
        Of the artifact: its signature and model.
    variant
        Of any backend but eager.
    accept
        What need not fit; see `soaflow.verification.verify_artifact`.
    events
        The file to read.
    predictions, proof
        The files to write.

    Raises
    ------
    SoaflowError
        As `soaflow.infer.job.run_job`.
    """
    signature = Signature.from_mapping(description.signature, artifact)
    found = read_header(events, EVENTS).attributes
    # As texts, which the workflow's wildcards are, so that both write the same bytes.
    named = {key: str(found[key]) for key in _OF_THE_EVENTS if key in found}
    return run_job(
        lambda: load_artifact(variant, signature, artifact, accept=accept),
        signature,
        events,
        predictions,
        proof,
        variant=variant,
        attributes={**named, "model": description.model},
    )
