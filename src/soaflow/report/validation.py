"""Truth and prediction of the validation rows, on which no step of the training was taken.

The invariant: these are the validation rows of `soaflow.soa.split`, which training asks too, so no
figure is of rows that the weights were fitted to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from soaflow.errors import StorageError
from soaflow.soa.signature import PREDICTION_COLLECTION
from soaflow.soa.split import split_collection
from soaflow.soa.storage import EVENTS, PREDICTIONS, map_blob, read_header


@dataclass(frozen=True, slots=True)
class ValidationRows:
    """What a target's output is judged on.

    Parameters
    ----------
    truth
        Shape `(n,)` or `(n, R)`, in the item's dtype.
    prediction
        Shape `(n,)` or `(n, R)`, in the output's dtype.
    item, unit
        Name and unit of the true quantity.
    described
        Which rows these are, for people.
    """

    truth: npt.NDArray[Any]
    prediction: npt.NDArray[Any]
    item: str
    unit: str
    described: str

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.truth)


def read_validation_rows(
    events: Sequence[Path | str],
    predictions: Sequence[Path | str],
    target: Mapping[str, Any],
    *,
    prediction_item: str,
    fraction: float,
) -> ValidationRows:
    """Read the validation rows of one target from all shards.

    Parameters
    ----------
    events, predictions
        Files of the shards, in one order.
    target
        With the keys `collection` and `item`.
    prediction_item
        Of the prediction collection.
    fraction
        Of each file's events, those for validation; from 0 to below 1.

    Raises
    ------
    StorageError
        If the numbers of files or rows differ, an item is not there, or a file is not sorted by event.
    """
    if len(events) != len(predictions) or not events:
        raise StorageError(
            f"there are {len(events)} events and {len(predictions)} predictions files: "
            "give one of each for each shard"
        )
    truths: list[npt.NDArray[Any]] = []
    outputs: list[npt.NDArray[Any]] = []
    for events_path, predictions_path in zip(events, predictions, strict=True):
        truth = _array(events_path, EVENTS, target["collection"], target["item"])
        output = _array(predictions_path, PREDICTIONS, PREDICTION_COLLECTION, prediction_item)
        if len(truth) != len(output):
            raise StorageError(
                f"{predictions_path} has {len(output)} rows and {events_path} has {len(truth)} of "
                f"'{target['collection']}': run inference on these events"
            )
        ranges = split_collection(read_header(events_path, EVENTS), target["collection"], fraction).validation
        for whole, parts in ((truth, truths), (output, outputs)):
            # No rows of it come first, so that there is a dtype to join where there are no ranges.
            parts += [whole[:0], *(whole[begin:end] for begin, end in ranges)]
    collection = read_header(events[0], EVENTS).collection(target["collection"])
    files = "the file" if len(events) == 1 else f"each of {len(events)} files"
    return ValidationRows(
        truth=np.concatenate(truths),
        prediction=np.concatenate(outputs),
        item=target["item"],
        unit=collection.placement.layout[target["item"]].unit,
        described=f"validation rows: {100 * fraction:g} % of {files}",
    )


def _array(path: Path | str, kind: str, collection: str, item: str) -> npt.NDArray[Any]:
    blob = map_blob(read_header(path, kind), collection)
    if item not in blob.placement.layout:
        raise StorageError(
            f"{path} has no item '{item}' in collection '{collection}': it has "
            f"{', '.join(blob.placement.layout.names)}"
        )
    return blob.array(item)
