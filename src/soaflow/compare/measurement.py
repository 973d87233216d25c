"""How the outputs of a variant differ from the reference: the file of one shard, and all shards merged.

The invariant: a measurement holds no tolerance and no opinion. Merging is exact and does not depend on the
order, and refuses shards that do not belong together, so what is judged is every row once.

>>> import numpy as np
>>> from soaflow.compare.differences import differences
>>> def measured(shard, value):
...     found = OutputMeasurement("pt", "GeV", "float32", differences(np.ones(1), np.array([value])))
...     return Measurement("toy", "Net", "jit", "", (Shard(shard, 1, ""),), (found,))
>>> whole = merged([measured("1", 2.0), measured("0", 1.0)])
>>> whole.rows, [shard.name for shard in whole.shards], whole.outputs[0].differences.max_absolute
(2, ['0', '1'], 1.0)
"""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from soaflow.compare.figures import Differences
from soaflow.compare.histogram import EDGES
from soaflow.compare.places import place_order
from soaflow.compare.ulp import HIGHEST
from soaflow.errors import StorageError
from soaflow.files import write_json
from soaflow.records import read_record, to_json

MEASUREMENT_VERSION = 1
"""Version of the measurement's JSON."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Rows that were compared.

    Parameters
    ----------
    name
        Of the shard; empty where the files do not say.
    rows
        How many.
    events_sha256
        Of the events file that the predictions were made from; empty where they do not say.
    """

    name: str
    rows: int
    events_sha256: str


@dataclass(frozen=True, slots=True)
class OutputMeasurement:
    """The figures of one item.

    Parameters
    ----------
    item
        Of the prediction collection.
    unit
        Of the item and of the absolute differences.
    dtype
        That the item is stored in.
    differences
        The figures.
    """

    item: str
    unit: str
    dtype: str
    differences: Differences


@dataclass(frozen=True, slots=True)
class Compared:
    """What was compared with the reference: the head of a measurement and of a verdict.

    Parameters
    ----------
    dataset, model, variant
        What the predictions are of; empty where the files do not say.
    weights_sha256
        Of the weights that the predictions were made with; empty where they do not say.
    shards
        In order.
    """

    dataset: str
    model: str
    variant: str
    weights_sha256: str
    shards: tuple[Shard, ...]

    @property
    def rows(self) -> int:
        """Of all shards."""
        return sum(shard.rows for shard in self.shards)

    @property
    def histogram_edges(self) -> tuple[float, ...]:
        """Of the histograms of differences, in log10."""
        return tuple(EDGES.tolist())

    @property
    def ulp_edges(self) -> tuple[int, ...]:
        """The largest distance in each bin of the ULP histograms."""
        return HIGHEST

    @property
    def described(self) -> str:
        """What was compared, for messages."""
        shards = ", ".join(shard.name for shard in self.shards)
        return f"model {self.model}, variant {self.variant}, dataset {self.dataset}, shard {shards}"

    def check(self, outputs: Iterable[Differences]) -> None:
        """Check that the shards are in order, none nor its events twice, and of the rows of each output.

        Raises
        ------
        ValueError
            If that is not so.
        """
        names = [shard.name for shard in self.shards]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"shard {twice[0]} stands twice")
        if list(self.shards) != sorted(self.shards, key=_shard_order):
            raise ValueError("the shards are not in order")
        events = [shard.events_sha256 for shard in self.shards if shard.events_sha256]
        if len(set(events)) < len(events):
            raise ValueError("two shards are of the same events")
        if any(found.rows != self.rows for found in outputs):
            raise ValueError("an output has another number of rows than the shards")


@dataclass(frozen=True, slots=True)
class Measurement(Compared):
    """The figures of a variant's outputs on one shard of a dataset, or on several.

    Parameters
    ----------
    dataset, model, variant, weights_sha256, shards
        As in `Compared`.
    outputs
        One for each item of the prediction collection, in its order.

    Raises
    ------
    ValueError
        If the shards are not in order, one stands twice, or an output has other rows.
    """

    derived: ClassVar[tuple[str, ...]] = ("measurement_version", "rows", "histogram_edges", "ulp_edges")

    outputs: tuple[OutputMeasurement, ...]

    def __post_init__(self) -> None:
        self.check(output.differences for output in self.outputs)

    @property
    def measurement_version(self) -> int:
        """Of the file's form."""
        return MEASUREMENT_VERSION


def merged(measurements: Sequence[Measurement], shards: Iterable[str] | None = None) -> Measurement:
    """Return the measurement of all shards, as if their rows had been compared together.

    Parameters
    ----------
    measurements
        Of shards of one dataset, in one variant of one model; in any order.
    shards
        Names of the shards that there must be; any if None.

    Raises
    ------
    StorageError
        If there is none, they are of other weights, datasets, models, variants or outputs, a shard or
        its events stand twice, or one that must be there is not, or another one is.
    """
    if not measurements:
        raise StorageError("there is no measurement to judge: measure the differences first")
    ordered = sorted(measurements, key=lambda found: [_shard_order(shard) for shard in found.shards])
    whole = ordered[0]
    for found in ordered[1:]:
        whole = _joined(whole, found)
    expected = None if shards is None else list(shards)
    names = [shard.name for shard in whole.shards]
    if expected is not None and set(names) != set(expected):
        missing, unknown = sorted(set(expected) - set(names)), sorted(set(names) - set(expected))
        what = f"lacks shard {missing[0]}" if missing else f"has the unknown shard {unknown[0]}"
        raise StorageError(
            f"the measurement of {whole.described} {what}: give each shard of the dataset once"
        )
    return whole


def require_same_rows(candidate: Measurement, yard: Measurement) -> None:
    """Check that a measurement may be judged by the error of another one.

    Raises
    ------
    StorageError
        If they are of other datasets, models, weights, events, rows or outputs.
    """
    for what, found, expected in (
        ("dataset", yard.dataset, candidate.dataset),
        ("model", yard.model, candidate.model),
        ("weights", yard.weights_sha256, candidate.weights_sha256),
        ("shards", [(s.name, s.rows) for s in yard.shards], [(s.name, s.rows) for s in candidate.shards]),
        ("events", *_known_events(yard, candidate)),
        ("outputs", [output.item for output in yard.outputs], [output.item for output in candidate.outputs]),
    ):
        if found != expected and (found and expected):
            raise StorageError(
                f"the measurement of {yard.described} cannot be the yardstick for {candidate.described}: it "
                f"is of other {what}; measure eager float32 on the same events"
            )


def write_measurement(path: Path | str, measurement: Measurement) -> None:
    """Write a measurement as JSON."""
    write_json(path, to_json(measurement))


def read_measurement(path: Path | str) -> Measurement:
    """Read a measurement.

    Raises
    ------
    StorageError
        If the file is missing, of another version, has a missing, unknown or wrong key, or contradicts
        itself.
    """
    return read_record(
        Measurement,
        path,
        kind="measurement",
        version=MEASUREMENT_VERSION,
        remedy="measure the differences again",
    )


def _joined(first: Measurement, other: Measurement) -> Measurement:
    for what in ("dataset", "model", "variant", "weights_sha256"):
        pair = getattr(first, what), getattr(other, what)
        if pair[0] != pair[1] and (what != "weights_sha256" or all(pair)):
            raise StorageError(
                f"the measurements of {first.described} and of {other.described} are of other "
                f"{what.removesuffix('_sha256')}: give those of one variant's shards"
            )
    kinds = [[(o.item, o.unit, o.dtype) for o in found.outputs] for found in (first, other)]
    if kinds[0] != kinds[1]:
        raise StorageError(
            f"the measurements of {first.described} and of {other.described} are of other outputs: measure "
            "the differences again"
        )
    try:
        return dataclasses.replace(
            first,
            weights_sha256=first.weights_sha256 or other.weights_sha256,
            shards=tuple(
                sorted((*first.shards, *other.shards), key=lambda shard: place_order(shard.name, 0))
            ),
            outputs=tuple(
                dataclasses.replace(mine, differences=mine.differences.merged(theirs.differences))
                for mine, theirs in zip(first.outputs, other.outputs, strict=True)
            ),
        )
    except ValueError as error:
        raise StorageError(
            f"the measurements of {first.described} and of {other.described} do not go together: {error}; "
            "give each shard once"
        ) from error


def _shard_order(shard: Shard) -> tuple[Any, ...]:
    return place_order(shard.name, 0)


def _known_events(first: Measurement, other: Measurement) -> tuple[list[str], list[str]]:
    """Return the digests of the events of those shards of which both are known."""
    digests = {shard.name: shard.events_sha256 for shard in other.shards}
    pairs = [(shard.events_sha256, digests.get(shard.name, "")) for shard in first.shards]
    known = [pair for pair in pairs if all(pair)]
    return [pair[0] for pair in known], [pair[1] for pair in known]
