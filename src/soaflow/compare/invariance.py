"""What a verdict asks of a row's bits: in batches of any size, when run again, and between variants.

The invariant: criteria follow from what was measured and from the limits alone. A run repeated must give the
same bits, whatever the limits.

>>> found = Sameness(9, 2, 0, 0.5, 3, ("0", 4), ((1.0, 0.5),))
>>> sameness_criterion("batches of 7", found, "GeV", Tolerance(0.1, 0.2)).sentence
'batches of 7: 0.3 GeV where 0.1 is allowed (beside 0.2 times the value; 2 of 9 rows differ, the first is \
row 4 of shard 0, by at most 0.5 or 3 ULP); 0.3 would pass'
"""

from collections.abc import Mapping
from pathlib import Path

from soaflow.compare.criteria import Criterion
from soaflow.compare.measurement import Measurement
from soaflow.compare.pairs import Pairs, read_pairs
from soaflow.compare.tolerances import Tolerance
from soaflow.envelope import minimum_absolute
from soaflow.errors import ConfigError, StorageError
from soaflow.invariance import Invariance, read_invariance
from soaflow.sameness import Sameness

SAME_BITS = None
"""In the place of a tolerance: no bit may differ."""

Limits = Mapping[str, Tolerance | None]
"""Tolerances by name; `SAME_BITS` where no bit may differ."""

RERUN = "rerun"
"""Name of the criterion that a run repeated gives the same bits."""


def invariance_criteria(
    measured: Measurement,
    invariance: Path | str | None,
    batch_limits: Limits,
    pairs: Path | str | None,
    pair_limits: Limits,
) -> list[dict[str, tuple[Criterion, ...]]]:
    """Read what was measured of a row's bits, and judge it.

    Parameters
    ----------
    measured
        The differences of the variant that is judged; the files must be of the same weights and events.
    invariance
        The file of the variant, or of one that differs from it in the batch size alone; needed where an item
        is limited.
    batch_limits
        By item; see `criteria_of`. Without any, nothing is asked about a rerun and batches.
    pairs
        The file of all pairs; needed where one is limited.
    pair_limits
        By the name of the other variant; see `pair_criteria_of`.

    Raises
    ------
    StorageError
        If a file is not such a measurement, or is of something else.
    """
    criteria = []
    if batch_limits:
        assert invariance is not None
        found = read_invariance(invariance)
        require_same_origin(found, measured)
        criteria.append(criteria_of(found, batch_limits))
    if pair_limits:
        assert pairs is not None
        beside = read_pairs(pairs)
        require_same_origin(beside, measured)
        criteria.append(pair_criteria_of(beside, measured.variant, pair_limits))
    return criteria


def require_same_origin(found: Invariance | Pairs, measured: Measurement) -> None:
    """Check that what was measured of a row's bits is of the same weights and events as the differences.

    Raises
    ------
    StorageError
        If it is not, as far as the files say.
    """
    if isinstance(found, Invariance):
        kind, events = "invariance", {found.shard: found.events_sha256}
    else:
        kind, events = "pairs", {shard.name: shard.events_sha256 for shard in found.shards}
    judged = {shard.name: shard.events_sha256 for shard in measured.shards}
    for what, mine, other in (
        ("dataset", found.dataset, measured.dataset),
        ("model", found.model, measured.model),
        ("weights", found.weights_sha256, measured.weights_sha256),
        *(("events", digest, judged.get(shard, "")) for shard, digest in events.items()),
    ):
        if mine != other and mine and other:
            raise StorageError(
                f"the file of {kind} for model {found.model}, dataset {found.dataset}, is of other {what} "
                f"than the differences of {measured.described}: measure the {kind} again"
            )


def criteria_of(found: Invariance, limits: Limits) -> dict[str, tuple[Criterion, ...]]:
    """Judge a rerun and the batch sizes.

    Parameters
    ----------
    found
        What was measured.
    limits
        How far a row may be from itself in a batch of another size, by item of the predictions.

    Returns
    -------
    dict
        By item of the predictions: the rerun, and each batch size.

    Raises
    ------
    ConfigError
        If an item has no limit.
    """
    return {
        rerun.item: (
            sameness_criterion(RERUN, rerun.sameness, rerun.unit, SAME_BITS),
            *(
                sameness_criterion(
                    f"batches of {batches.size}",
                    batches.outputs[index].sameness,
                    rerun.unit,
                    _limit_of(rerun.item, limits),
                )
                for batches in found.batches
            ),
        )
        for index, rerun in enumerate(found.rerun)
    }


def pair_criteria_of(found: Pairs, variant: str, limits: Limits) -> dict[str, tuple[Criterion, ...]]:
    """Judge a variant beside others.

    Parameters
    ----------
    found
        What was measured.
    variant
        That is judged.
    limits
        By the name of the other variant.

    Returns
    -------
    dict
        By item of the predictions: each of the other variants.

    Raises
    ------
    StorageError
        If a pair was not measured.
    """
    pairs = found.with_variant(variant)
    criteria: dict[str, tuple[Criterion, ...]] = {}
    for other, limit in limits.items():
        if other not in pairs:
            raise StorageError(
                f"variants {variant} and {other} of model {found.model} were not compared: compare the "
                "variants again"
            )
        for output in pairs[other].outputs:
            criterion = sameness_criterion(f"beside {other}", output.sameness, output.unit, limit)
            criteria[output.item] = (*criteria.get(output.item, ()), criterion)
    return criteria


def sameness_criterion(name: str, found: Sameness, unit: str, limit: Tolerance | None) -> Criterion:
    """Ask whether two outputs are the same, to a bit or within a tolerance.

    The question about a tolerance is asked of its absolute part: the smallest that passes beside the relative
    part is what was measured.

    Parameters
    ----------
    name
        Of the criterion.
    found
        How far the outputs are apart.
    unit
        Of the output.
    limit
        The tolerance; `SAME_BITS` for no bit.
    """
    where = _where(found)
    if limit is None:
        rows = float(found.rows_differing)
        return Criterion(name, measured=rows, allowed=0.0, needed=rows, unit="rows", detail=where)
    if found.mismatches:
        detail = f"{found.mismatches} NaN or infinite on one side alone; {where}"
        return Criterion(name, measured=None, allowed=limit.absolute, needed=None, unit=unit, detail=detail)
    needed = minimum_absolute(found.envelope, limit.relative)
    beside = f"beside {limit.relative:g} times the value; " if limit.relative and not found.same_bits else ""
    return Criterion(
        name, measured=needed, allowed=limit.absolute, needed=needed, unit=unit, detail=f"{beside}{where}"
    )


def limits_of(entries: Mapping[str, Mapping[str, float] | None]) -> dict[str, Tolerance | None]:
    """Return limits that are given as mappings of `absolute` and `relative`."""
    return {name: SAME_BITS if entry is None else Tolerance(**entry) for name, entry in entries.items()}


def _limit_of(item: str, limits: Limits) -> Tolerance | None:
    if item not in limits:
        raise ConfigError(f"item '{item}' has no limit of its own: there are some for {', '.join(limits)}")
    return limits[item]


def _where(found: Sameness) -> str:
    if found.first_differing is None:
        return "the same bits"
    shard, row = found.first_differing
    return (
        f"{found.rows_differing} of {found.rows} rows differ, the first is row {row} of shard {shard}, "
        f"by at most {found.largest_absolute:.3g} or {found.largest_ulp} ULP"
    )
