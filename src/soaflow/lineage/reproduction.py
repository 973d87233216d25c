"""Whether two runs gave the same, and if not, exactly what differs and why.

The invariant: a difference is expected only for a reason that is named here and that the two runs themselves
show; every other one fails. What one run alone has fails too, but for files of shards that the other has not,
and for pictures of a training that the other has not done.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from soaflow.compare.places import place_order
from soaflow.lineage.batches import Dependence, batch_dependence
from soaflow.lineage.contents import EVENT_FILES, PREDICTION_FILES, Thing, contents_of
from soaflow.lineage.rows import joined_rows
from soaflow.sameness import Sameness, sameness
from soaflow.soa.signature import PREDICTION_COLLECTION
from soaflow.soa.storage import PREDICTIONS

MOST_OF_MEASURED = 4.0
"""How many times as far as between measured batches a row may be apart in the batches of other shards."""


class Outcome(StrEnum):
    """What a comparison found."""

    EQUAL = "equal"
    EXPECTED = "expected"
    DIFFERENT = "DIFFERENT"
    MISSING = "MISSING"


@dataclass(frozen=True, slots=True)
class Compared:
    """One thing in two runs.

    Parameters
    ----------
    kind, name
        Of the thing.
    first, second
        Its digests; None where a run does not have it.
    reason
        Why a difference is expected; empty if it is not, or there is none.
    detail
        How large the difference is, in words; may be empty.
    """

    kind: str
    name: str
    first: str | None
    second: str | None
    reason: str = ""
    detail: str = ""

    @property
    def alone(self) -> bool:
        """Whether one run does not have it."""
        return None in (self.first, self.second)

    @property
    def outcome(self) -> Outcome:
        """Whether the two are equal, and if not, whether that was to be expected."""
        if self.first == self.second:
            return Outcome.EQUAL
        if self.reason:
            return Outcome.EXPECTED
        return Outcome.MISSING if self.alone else Outcome.DIFFERENT

    @property
    def fails(self) -> bool:
        """Whether nobody expected it."""
        return self.outcome in (Outcome.DIFFERENT, Outcome.MISSING)


def compare_runs(
    first: Path | str, second: Path | str, kinds: Collection[str] | None = None
) -> tuple[Compared, ...]:
    """Compare everything that two folders of results hold.

    Parameters
    ----------
    first, second
        Folders `results` of two runs.
    kinds
        Of what is compared; everything if None.

    Raises
    ------
    ProvenanceError
        If there is no such folder, or nothing in it.
    StorageError, ArtifactError
        If a file in one is damaged.
    """
    folders = Path(first), Path(second)
    contents = [contents_of(folder) for folder in folders]
    found = [
        Compared(*thing, contents[0].get(thing), contents[1].get(thing))
        for thing in dict.fromkeys((*contents[0], *contents[1]))
        if kinds is None or thing[0] in kinds
    ]
    resharded = _resharded(*contents)
    if resharded:
        found = _with_predictions(found, folders, resharded)
    depending = {_model(one.name) for one in found if one.kind == "predictions" and one.reason}
    untrained = _trained(contents[0]) ^ _trained(contents[1]) if resharded else set()
    return tuple(
        one
        if one.reason
        else replace(
            one,
            reason=_reason_alone(one, resharded, untrained)
            if one.alone
            else _reason(one, resharded, depending),
        )
        for one in found
    )


def _resharded(first: Mapping[Thing, str], second: Mapping[Thing, str]) -> set[str]:
    """Return the datasets that the two runs cut into shards otherwise."""
    shards, others = map(_shards, (first, second))
    return {dataset for dataset in shards if dataset in others and shards[dataset] != others[dataset]}


def _shards(contents: Mapping[Thing, str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for kind, name in contents:
        if kind == EVENT_FILES:
            found[name.partition("/")[0]].add(name)
    return found


def _trained(contents: Mapping[Thing, str]) -> set[str]:
    """Return the models of whose training a run has drawn pictures."""
    drawn = (name.partition("/") for kind, name in contents if kind == "pictures")
    return {file.partition(".")[0] for folder, _, file in drawn if folder == "learning_curves"}


def _model(name: str) -> str:
    """Return dataset and model of predictions, and of what is measured of them."""
    return name.partition(".")[0]


def _reason_alone(one: Compared, resharded: Collection[str], untrained: Collection[str]) -> str:
    """Return why one run alone is expected to have something; empty if it is not."""
    folder, _, file = one.name.partition("/")
    if one.kind == "pictures" and folder in ("learning_curves", "physics") and _model(file) in untrained:
        return "drawn of a training, and one run was given the weights"
    return _SAME_ROWS if one.kind in (EVENT_FILES, PREDICTION_FILES) and folder in resharded else ""


def _reason(one: Compared, resharded: Collection[str], depending: Collection[str]) -> str:
    """Return why something that both runs have is expected to differ; empty if it is not."""
    folder = one.name.partition("/")[0]
    of_predictions = one.kind in ("differences", "pairs", "decisions", "verdicts")
    reasons = {
        _SAME_ROWS: one.kind in (EVENT_FILES, PREDICTION_FILES) and folder in resharded,
        "measured on rows of the first shard, which has others": one.kind == "invariance"
        and folder in resharded,
        "shows shards, and what was measured on the first one": one.kind == "pictures"
        and bool(resharded)
        and folder in _PICTURES_WITH_SHARDS,
        "figures of predictions that depend on their batch": (
            of_predictions and _model(one.name) in depending
        )
        or ((one.kind, one.name) == ("verdicts", "summary.tsv") and bool(depending)),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


_SAME_ROWS = "the same rows in other shards"

_PICTURES_WITH_SHARDS = frozenset(
    ("decisions", "differences", "invariance", "magnitudes", "parity", "verdicts.html", "verdicts.svg")
)


def _with_predictions(
    found: Sequence[Compared], folders: tuple[Path, Path], resharded: Collection[str]
) -> list[Compared]:
    """Say of predictions that differ how far they do, and whether rows in other batches explain it."""
    seen, others = map(batch_dependence, folders)
    measured: Dependence = {key: max(seen.get(key, 0.0), others.get(key, 0.0)) for key in seen | others}
    return [
        _with_size(one, folders, measured)
        if one.kind == "predictions"
        and one.outcome is Outcome.DIFFERENT
        and one.name.partition("/")[0] in resharded
        else one
        for one in found
    ]


def _with_size(one: Compared, folders: tuple[Path, Path], measured: Dependence) -> Compared:
    what, _, item = one.name.partition(": ")
    between = measured.get((what, item), 0.0)
    try:
        apart = _apart(folders, what, item)
    except ValueError as error:  # other rows, or of another type
        return replace(one, detail=str(error))
    detail = (
        f"{apart.rows_differing} of {apart.rows} rows, by at most {apart.largest_absolute:.2g} or "
        f"{apart.largest_ulp} ULP; {between:.2g} between batches"
    )
    explained = not apart.mismatches and 0 < apart.largest_absolute <= MOST_OF_MEASURED * between
    return replace(one, detail=detail, reason="rows lie in other batches" if explained else "")


def _apart(folders: tuple[Path, Path], what: str, item: str) -> Sameness:
    first, second = (
        joined_rows(_prediction_files(folder, what), PREDICTIONS, PREDICTION_COLLECTION, item)
        for folder in folders
    )
    return sameness(first, second, shard="")


def _prediction_files(folder: Path, what: str) -> list[Path]:
    """Return the shards of predictions in their order."""
    dataset, _, name = what.partition("/")
    files = folder.glob(f"predictions/{dataset}/*/{name}.h5")
    return sorted(files, key=lambda path: place_order(path.parent.name, 0))


@dataclass(frozen=True, slots=True)
class KindCompared:
    """All things of a kind in two runs.

    Parameters
    ----------
    kind
        Of the things.
    first, second
        SHA-256 (hex) of the names and digests of all of them.
    counts
        How many came out how.
    """

    kind: str
    first: str
    second: str
    counts: Mapping[Outcome, int]


def by_kind(compared: Sequence[Compared]) -> list[KindCompared]:
    """Put what was compared together by kind, in the order in which the kinds come."""
    kinds: dict[str, list[Compared]] = defaultdict(list)
    for one in compared:
        kinds[one.kind].append(one)
    return [
        KindCompared(
            kind,
            _joint_digest({one.name: one.first for one in things}),
            _joint_digest({one.name: one.second for one in things}),
            Counter(one.outcome for one in things),
        )
        for kind, things in kinds.items()
    ]


def _joint_digest(digests: Mapping[str, str | None]) -> str:
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
