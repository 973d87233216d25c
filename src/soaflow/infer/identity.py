"""What predictions were made from, as attributes of their file.

The invariant: predictions of other weights, or of events that are described otherwise, carry other
digests, so the comparison refuses to judge the ones by the others.
"""

from pathlib import Path

from soaflow.files import sha256_of_file
from soaflow.passport import read_passport
from soaflow.soa.storage import EVENTS, read_header


def made_from(
    events: Path | str, *, weights: Path | str | None = None, artifact: Path | str | None = None
) -> dict[str, str]:
    """Return the attributes that say what predictions were made from.

    Parameters
    ----------
    events
        The events file.
    weights
        Of an eager model.
    artifact
        Otherwise: with its passport beside it, which names the weights.

    Returns
    -------
    dict
        `events_sha256`, of all that the events file says of itself (source, seed, first event, layouts,
        rows) and not of its data; and `weights_sha256` of the weights' file.

    Raises
    ------
    StorageError
        If the events file is not sound.
    ArtifactError
        If the passport is missing or damaged.
    """
    found = {"events_sha256": read_header(events, EVENTS).description_sha256()}
    if weights is not None:
        found["weights_sha256"] = sha256_of_file(weights)
    elif artifact is not None:
        origin = read_passport(artifact).description.origin
        if "weights_sha256" in origin:
            found["weights_sha256"] = str(origin["weights_sha256"])
    return found
