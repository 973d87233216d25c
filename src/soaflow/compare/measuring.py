"""Measures how a predictions file differs from the reference's.

The invariant: no value is judged here, and memory does not grow with the number of rows.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from soaflow.compare.agreement import check_agreement
from soaflow.compare.differences import differences
from soaflow.compare.figures import Differences
from soaflow.compare.inputs import with_inputs
from soaflow.compare.measurement import Measurement, OutputMeasurement, Shard
from soaflow.soa.signature import PREDICTION_COLLECTION
from soaflow.soa.storage import PREDICTIONS, MappedBlob, map_blob, read_header


def measure_files(
    reference: Path | str,
    candidate: Path | str,
    *,
    first_rows: bool = False,
    events: Path | str | None = None,
    inputs: Mapping[str, Sequence[str]] | None = None,
) -> Measurement:
    """Measure how a predictions file differs from the reference's.

    Parameters
    ----------
    reference, candidate
        Predictions files of one model for the same events. The reference's floating items may be
        wider than the candidate's, as it is computed and stored in float64; the differences are
        taken in float64, so that the candidate's rounding counts.
    first_rows
        Whether the candidate may hold but the first rows of the reference, which are then compared.
    events, inputs
        The events file, and the items of its collections whose values are kept for the worst rows; the
        collections must have a row for each row of the predictions.

    Raises
    ------
    StorageError
        If a file is not a sound predictions file, or the two differ in dataset, shard, model,
        number of rows, or in an item's name, kind, shape, unit or (wider floats of the reference
        aside) dtype; or the events have other rows.
    """
    headers = read_header(reference, PREDICTIONS), read_header(candidate, PREDICTIONS)
    check_agreement(*headers, first_rows=first_rows)
    blobs = map_blob(headers[0], PREDICTION_COLLECTION), map_blob(headers[1], PREDICTION_COLLECTION)
    placement, attributes = blobs[1].placement, headers[1].attributes
    said = {
        key: str(attributes.get(key, ""))
        for key in ("dataset", "shard", "model", "variant", "weights_sha256", "events_sha256")
    }
    found = [_differences(name, *blobs, said["shard"]) for name in placement.layout.names]
    if events is not None:
        found = list(with_inputs(found, events, inputs or {}))
    return Measurement(
        dataset=said["dataset"],
        model=said["model"],
        variant=said["variant"],
        weights_sha256=said["weights_sha256"],
        shards=(Shard(said["shard"], placement.rows, said["events_sha256"]),),
        outputs=tuple(
            OutputMeasurement(item.name, item.unit, item.dtype, figures)
            for item, figures in zip(placement.layout.items, found, strict=True)
        ),
    )


def _differences(name: str, reference: MappedBlob, candidate: MappedBlob, shard: str) -> Differences:
    values = _rows_first(candidate, name)
    return differences(_rows_first(reference, name)[: len(values)], values, shard=shard)


def _rows_first(blob: MappedBlob, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    array = blob.array(name)
    return array if array.ndim else np.broadcast_to(array, (blob.placement.rows,))
