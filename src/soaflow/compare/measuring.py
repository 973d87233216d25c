"""Measures how a predictions file differs from the reference's.

The invariant: no value is judged here, and memory does not grow with the number of rows.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from soaflow.compare.agreement import check_agreement
from soaflow.compare.differences import differences
from soaflow.compare.inputs import with_inputs
from soaflow.compare.measurement import Measurement, OutputMeasurement, Shard
from soaflow.compare.sources import Source, identity_of, opened_sources
from soaflow.rows import Rows, Values


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
        Predictions of one model for the same events, in files that `soaflow.compare.sources` opens. The
        reference's floating items may be wider than the candidate's, as it is computed and stored in
        float64; the differences are taken in float64, so that the candidate's rounding counts.
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
    with opened_sources(reference, candidate) as sources:
        return measure(*sources, first_rows=first_rows, events=events, inputs=inputs)


def measure(
    reference: Source,
    candidate: Source,
    *,
    first_rows: bool = False,
    events: Path | str | None = None,
    inputs: Mapping[str, Sequence[str]] | None = None,
) -> Measurement:
    """Measure how predictions differ from the reference's, wherever they come from.

    What the candidate does not say of itself is taken to be as the reference says.

    Parameters
    ----------
    reference, candidate
        What is compared.
    first_rows, events, inputs
        As in `measure_files`.

    Raises
    ------
    StorageError
        As `measure_files`.
    """
    check_agreement(reference, candidate, first_rows=first_rows)
    said = identity_of(reference, candidate)
    found = [
        differences(
            _first(reference.values[item.name], candidate.rows),
            candidate.values[item.name],
            shard=said["shard"],
        )
        for item in candidate.items
    ]
    if events is not None:
        found = list(with_inputs(found, events, inputs or {}))
    return Measurement(
        dataset=said["dataset"],
        model=said["model"],
        variant=said["variant"],
        weights_sha256=said["weights_sha256"],
        shards=(Shard(said["shard"], candidate.rows, said["events_sha256"]),),
        outputs=tuple(
            OutputMeasurement(item.name, item.unit, item.dtype, figures)
            for item, figures in zip(candidate.items, found, strict=True)
        ),
    )


def _first(values: Values, rows: int) -> Values:
    """Return the first rows, without reading them."""
    return Rows((rows, *values.shape[1:]), values.dtype, lambda chosen: values[chosen])
