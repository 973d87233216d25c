"""The outcome of a comparison: pass or fail for each output, with the questions, the figures and the waivers.

The invariant: a verdict passes exactly when its own figures say so; a file that claims otherwise is
refused. It holds neither times nor paths, so the same predictions give the same bytes.

`soaflow.compare.judging` makes it from a measurement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from soaflow.compare.criteria import Criterion
from soaflow.compare.difference_criteria import NOT_FINITE, TOLERANCE, criteria_of
from soaflow.compare.figures import Differences
from soaflow.compare.measurement import Compared, OutputMeasurement
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.waivers import Waiver
from soaflow.compare.yard import Yard
from soaflow.envelope import minimum_relative
from soaflow.files import write_json
from soaflow.records import read_record, to_json

VERDICT_VERSION = 3
"""Version of the verdict's JSON."""


@dataclass(frozen=True, slots=True)
class OutputVerdict:
    """The outcome for one item.

    Parameters
    ----------
    item
        Of the prediction collection.
    unit
        Of the item and of the absolute differences.
    dtype
        That the item is stored in.
    tolerance
        That it is judged with.
    yard
        The error of eager float32; None where it is not known.
    differences
        The figures.
    criteria
        The questions: first those of the differences, then those of other statistics.

    Raises
    ------
    ValueError
        If the first questions are not those that the figures answer, or two have one name.
    """

    derived: ClassVar[tuple[str, ...]] = (
        *("passed", "over_tolerance_at_most", "minimum_absolute", "minimum_relative"),
        *("minimum_factor", "yard_ratio"),
    )

    item: str
    unit: str
    dtype: str
    tolerance: Tolerance
    yard: Yard | None
    differences: Differences
    criteria: tuple[Criterion, ...]

    def __post_init__(self) -> None:
        own = criteria_of(self.differences, self.tolerance, unit=self.unit, yard=self.yard)
        if self.criteria[: len(own)] != own:
            raise ValueError(f"criteria of output {self.item} contradict its figures")
        names = [criterion.name for criterion in self.criteria]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"output {self.item} has two criteria named '{twice[0]}'")

    @classmethod
    def of(
        cls,
        measured: OutputMeasurement,
        tolerance: Tolerance,
        *,
        yard: Yard | None = None,
        further: Sequence[Criterion] = (),
    ) -> Self:
        """Judge an output by its figures, and take up the questions of other statistics."""
        own = criteria_of(measured.differences, tolerance, unit=measured.unit, yard=yard)
        return cls(
            item=measured.item,
            unit=measured.unit,
            dtype=measured.dtype,
            tolerance=tolerance,
            yard=yard,
            differences=measured.differences,
            criteria=(*own, *further),
        )

    @property
    def passed(self) -> bool:
        """Whether every question is answered with a pass."""
        return all(criterion.passed for criterion in self.criteria)

    @property
    def further(self) -> tuple[Criterion, ...]:
        """The questions of other statistics than the differences."""
        own = criteria_of(self.differences, self.tolerance, unit=self.unit, yard=self.yard)
        return self.criteria[len(own) :]

    @property
    def over_tolerance_at_most(self) -> int:
        """A number that the count of values over the tolerance surely does not exceed; 0 if none is."""
        return self.differences.over_at_most(self.tolerance.absolute, self.tolerance.relative)

    @property
    def minimum_absolute(self) -> float | None:
        """The smallest absolute tolerance that would pass beside the relative one; None if none would."""
        needed = {criterion.name: criterion.needed for criterion in self.criteria}
        return None if needed[NOT_FINITE] is None else needed[TOLERANCE]

    @property
    def minimum_relative(self) -> float | None:
        """The smallest relative tolerance that would pass beside the absolute one; None if none would."""
        found = self.differences
        return None if found.mismatches else minimum_relative(found.envelope, self.tolerance.absolute)

    @property
    def minimum_factor(self) -> float | None:
        """The smallest factor of the yardstick that would pass; None if none would or there is none."""
        return None if self.yard is None else self.yard.minimum_factor(self.differences)

    @property
    def yard_ratio(self) -> float | None:
        """The largest difference over that of eager float32; None if that is not known, or not finite."""
        return None if self.yard is None else self.yard.ratio_of(self.differences.max_absolute)


@dataclass(frozen=True, slots=True)
class Failure:
    """A question that was answered with a fail.

    Parameters
    ----------
    item
        Of the prediction collection.
    criterion
        Name of the question.
    sentence
        What was found, where what is allowed, and what would pass.
    waiver
        That covers it, one that holds if there is one; None if nobody accepts it.
    """

    derived: ClassVar[tuple[str, ...]] = ("waived",)

    item: str
    criterion: str
    sentence: str
    waiver: Waiver | None

    @property
    def waived(self) -> bool:
        """Whether a waiver that has not expired covers it."""
        return self.waiver is not None and not self.waiver.expired


@dataclass(frozen=True, slots=True)
class Verdict(Compared):
    """The outcome for one variant of a model on one dataset; no rows are a pass.

    Parameters
    ----------
    dataset, model, variant, weights_sha256, shards
        As in `Compared`.
    outputs
        One for each item of the prediction collection, in its order.
    waivers
        Those for this variant of the model on this dataset, whether they cover something or not.

    Raises
    ------
    ValueError
        If an output has other rows, or a waiver is for something else.
    """

    derived: ClassVar[tuple[str, ...]] = (
        *("verdict_version", "passed", "accepted", "rows", "failures"),
        *("histogram_edges", "ulp_edges"),
    )

    outputs: tuple[OutputVerdict, ...]
    waivers: tuple[Waiver, ...] = ()

    def __post_init__(self) -> None:
        self.check(output.differences for output in self.outputs)
        if not all(waiver.concerns(self.dataset, self.model, self.variant) for waiver in self.waivers):
            raise ValueError("a waiver is for another variant")

    @property
    def verdict_version(self) -> int:
        """Of the file's form."""
        return VERDICT_VERSION

    @property
    def passed(self) -> bool:
        """Whether every output passed; without an output nothing did."""
        return bool(self.outputs) and all(output.passed for output in self.outputs)

    @property
    def accepted(self) -> bool:
        """Whether every output passed, or its failures are waived."""
        return bool(self.outputs) and all(failure.waived for failure in self.failures)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Every question that was answered with a fail, with the waiver that covers it."""
        return tuple(
            Failure(output.item, criterion.name, criterion.sentence, self._waiver_of(output, criterion))
            for output in self.outputs
            for criterion in output.criteria
            if not criterion.passed
        )

    def _waiver_of(self, output: OutputVerdict, criterion: Criterion) -> Waiver | None:
        covering = (waiver for waiver in self.waivers if waiver.covers(output.item, criterion.name))
        return min(covering, key=lambda waiver: waiver.expired, default=None)


def write_verdict(path: Path | str, verdict: Verdict) -> None:
    """Write a verdict as JSON."""
    write_json(path, to_json(verdict))


def read_verdict(path: Path | str) -> Verdict:
    """Read a verdict.

    Raises
    ------
    StorageError
        If the file is missing, of another version, has a missing, unknown or wrong key, or contradicts
        itself.
    """
    return read_record(
        Verdict, path, kind="verdict", version=VERDICT_VERSION, remedy="judge the measurements again"
    )
