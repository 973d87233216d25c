"""Whether two predictions files may be compared: the same events, model, weights and items.

The invariant: what is compared was made from the same rows by the same weights, as far as the files say.
"""

import dataclasses

from soaflow.errors import StorageError
from soaflow.soa.layout import Item
from soaflow.soa.signature import PREDICTION_COLLECTION
from soaflow.soa.storage import FileHeader

_DIGESTS = {"weights_sha256": "with other weights", "events_sha256": "from other events"}
"""Attributes of predictions that must agree where both files have them; files from elsewhere may not."""


def check_agreement(reference: FileHeader, candidate: FileHeader, *, first_rows: bool) -> None:
    """Check that two predictions files may be compared.

    Parameters
    ----------
    reference, candidate
        Of the files.
    first_rows
        Whether the candidate may hold but the first rows of the reference.

    Raises
    ------
    StorageError
        If they are of other events, models or weights, or differ in rows or items.
    """
    for key in ("dataset", "shard", "model"):
        expected, found = (str(header.attributes.get(key, "")) for header in (reference, candidate))
        if expected != found:
            raise StorageError(
                f"{candidate.path} is of {key} '{found}' and {reference.path} of {key} '{expected}': "
                "compare predictions of one model for the same events"
            )
    for key, what in _DIGESTS.items():
        digests = [header.attributes.get(key) for header in (reference, candidate)]
        if None not in digests and digests[0] != digests[1]:
            raise StorageError(
                f"{candidate.path} was made {what} than {reference.path}: "
                "run inference again for the older one"
            )
    placements = [header.collection(PREDICTION_COLLECTION).placement for header in (reference, candidate)]
    wanted, given = (placement.layout.items for placement in placements)
    for item, other in zip(wanted, given, strict=False):
        if not _comparable(item, other):
            raise StorageError(
                f"{candidate.path} has {_described(other)} where {reference.path} has {_described(item)}: "
                "compare predictions of one model, and name the one with wider floats as the reference"
            )
    if len(wanted) != len(given):
        raise StorageError(
            f"{candidate.path} has {len(given)} output items and {reference.path} has "
            f"{len(wanted)}: compare predictions of one model"
        )
    fewer = first_rows and placements[1].rows < placements[0].rows
    if placements[0].rows != placements[1].rows and not fewer:
        raise StorageError(
            f"{candidate.path} has {placements[1].rows} rows and {reference.path} has "
            f"{placements[0].rows}: run inference on the same events"
        )


def _comparable(reference: Item, candidate: Item) -> bool:
    wider = reference.floating and candidate.floating and reference.itemsize >= candidate.itemsize
    return reference == (dataclasses.replace(candidate, dtype=reference.dtype) if wider else candidate)


def _described(item: Item) -> str:
    unit = f" in {item.unit}" if item.unit else ""
    return f"item '{item.name}' ({item.dtype} {item.kind.value} {list(item.shape)}{unit})"
