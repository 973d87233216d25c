"""Whether two files of predictions may be compared: the same events, model, weights and items.

The invariant: what is compared was made from the same rows by the same weights, as far as the files say.
"""

import dataclasses

from soaflow.compare.sources import Source
from soaflow.errors import StorageError
from soaflow.soa.layout import Item

_DIGESTS = {"weights_sha256": "with other weights", "events_sha256": "from other events"}
"""Attributes of predictions that must agree where both files have them; files from elsewhere may not."""


def check_agreement(reference: Source, candidate: Source, *, first_rows: bool) -> None:
    """Check that predictions may be compared.

    Parameters
    ----------
    reference, candidate
        What is compared.
    first_rows
        Whether the candidate may hold but the first rows of the reference.

    Raises
    ------
    StorageError
        If they say to be of other events, models or weights, or differ in rows or items.
    """
    for key in ("dataset", "shard", "model"):
        expected, found = (source.identity[key] for source in (reference, candidate))
        if expected and found and expected != found:
            raise StorageError(
                f"{candidate.path} is of {key} '{found}' and {reference.path} of {key} '{expected}': "
                "compare predictions of one model for the same events"
            )
    for key, what in _DIGESTS.items():
        expected, found = (source.identity[key] for source in (reference, candidate))
        if expected and found and expected != found:
            raise StorageError(
                f"{candidate.path} was made {what} than {reference.path}: "
                "run inference again for the older one"
            )
    for item, other in zip(reference.items, candidate.items, strict=False):
        if not _comparable(item, other):
            raise StorageError(
                f"{candidate.path} has {_described(other)} where {reference.path} has {_described(item)}: "
                "compare predictions of one model, and name the one with wider floats as the reference"
            )
    if len(reference.items) != len(candidate.items):
        raise StorageError(
            f"{candidate.path} has {len(candidate.items)} output items and {reference.path} has "
            f"{len(reference.items)}: compare predictions of one model"
        )
    fewer = first_rows and candidate.rows < reference.rows
    if reference.rows != candidate.rows and not fewer:
        raise StorageError(
            f"{candidate.path} has {candidate.rows} rows and {reference.path} has "
            f"{reference.rows}: run inference on the same events"
        )


def _comparable(reference: Item, candidate: Item) -> bool:
    wider = reference.floating and candidate.floating and reference.itemsize >= candidate.itemsize
    return reference == (dataclasses.replace(candidate, dtype=reference.dtype) if wider else candidate)


def _described(item: Item) -> str:
    unit = f" in {item.unit}" if item.unit else ""
    return f"item '{item.name}' ({item.dtype} {item.kind.value} {list(item.shape)}{unit})"
