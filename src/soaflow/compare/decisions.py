"""What a variant decides otherwise than the reference, over all shards of a dataset: figures without limits.

The invariant: the file holds all that limits are judged by, and neither limits, times nor paths; the same
predictions give the same bytes, whatever the order of the shards. What can be derived stands beside what it
is derived from, and a file that contradicts itself is refused.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from soaflow.compare.classification import Classification
from soaflow.compare.measurement import Measurement, Shard, check_shards
from soaflow.compare.resolution import Resolution
from soaflow.compare.separation import Separation
from soaflow.compare.working_points import AtWorkingPoint
from soaflow.errors import StorageError
from soaflow.files import write_json
from soaflow.records import read_record, to_json

DECISION_VERSION = 1
"""Version of the file's JSON."""


@dataclass(frozen=True, slots=True)
class NotANumber:
    """Rows with a NaN among the scores.

    Parameters
    ----------
    reference, value
        In the reference and in the candidate.
    """

    reference: int
    value: int


@dataclass(frozen=True, slots=True)
class ScoreFigures:
    """The figures of a score.

    Parameters
    ----------
    name
        Of the observable.
    item
        Of the predictions, that the score is of.
    truth
        What is signal, for people; empty where it is not known.
    not_a_number
        Rows without a score: they pass no working point.
    working_points
        In the order of the configuration.
    separation
        None where the truth is not known.
    """

    name: str
    item: str
    truth: str
    not_a_number: NotANumber
    working_points: tuple[AtWorkingPoint, ...]
    separation: Separation | None


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """The figures of a class.

    Parameters
    ----------
    name, item, truth
        As in `ScoreFigures`; the item is that of the first class.
    not_a_number
        Rows without a class.
    classification
        The decisions.
    """

    name: str
    item: str
    truth: str
    not_a_number: NotANumber
    classification: Classification


@dataclass(frozen=True, slots=True)
class RegressionFigures:
    """The figures of a regression.

    Parameters
    ----------
    name, item, truth
        As in `ScoreFigures`.
    resolution
        Bias and resolution.
    """

    name: str
    item: str
    truth: str
    resolution: Resolution


@dataclass(frozen=True, slots=True)
class Decisions:
    """The figures of a variant on a dataset.

    Parameters
    ----------
    dataset, model, variant, weights_sha256, shards
        What was compared with the reference, as in `soaflow.compare.measurement.Measurement`.
    scores, classes, regressions
        In the order of the configuration.

    Raises
    ------
    ValueError
        If the shards are not in order, one stands twice, or a figure is of other rows.
    """

    derived: ClassVar[tuple[str, ...]] = ("decision_version", "rows")

    dataset: str
    model: str
    variant: str
    weights_sha256: str
    shards: tuple[Shard, ...]
    scores: tuple[ScoreFigures, ...]
    classes: tuple[ClassFigures, ...]
    regressions: tuple[RegressionFigures, ...]

    def __post_init__(self) -> None:
        check_shards(self.shards)
        counted = (
            *((score.name, point.everything.rows) for score in self.scores for point in score.working_points),
            *((figures.name, figures.classification.rows) for figures in self.classes),
            *((figures.name, figures.resolution.rows) for figures in self.regressions),
        )
        if wrong := [name for name, rows in counted if rows != self.rows]:
            raise ValueError(f"{wrong[0]} counts other rows than the shards have")

    @property
    def decision_version(self) -> int:
        """Of the file's form."""
        return DECISION_VERSION

    @property
    def rows(self) -> int:
        """Of all shards."""
        return sum(shard.rows for shard in self.shards)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all observables."""
        return (
            *(figures.name for figures in self.scores),
            *(figures.name for figures in self.classes),
            *(figures.name for figures in self.regressions),
        )

    def require_same_predictions(self, measured: Measurement) -> None:
        """Check that the figures are of the predictions that differences were measured of.

        Raises
        ------
        StorageError
            If they are of another dataset, model, variant, weights, shards, rows or events.
        """
        for what in ("dataset", "model", "variant", "weights_sha256", "shards"):
            if getattr(self, what) != getattr(measured, what):
                raise StorageError(
                    f"the decisions of {self.model} as {self.variant} on {self.dataset} are of other "
                    f"{what.removesuffix('_sha256')} than the differences of {measured.described}: measure "
                    "both again"
                )


def write_decisions(path: Path | str, decisions: Decisions) -> None:
    """Write the figures as JSON.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    write_json(path, to_json(decisions))


def read_decisions(path: Path | str) -> Decisions:
    """Read the figures.

    Raises
    ------
    StorageError
        If the file is missing, of another version, has a missing, unknown or wrong key, or contradicts
        itself.
    """
    return read_record(
        Decisions, path, kind="decision", version=DECISION_VERSION, remedy="measure the predictions again"
    )
