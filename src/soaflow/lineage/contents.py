"""What a run's results hold, as digests that do not depend on how the rows are cut into shards.

The invariant: what two runs computed equally has equal digests, whatever their numbers of shards, and
everything else has different ones. What holds times, memory or a day is left out, except for the reproducible
part of passports; and so are gathered files, since what they show is compared as predictions.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from soaflow.compare.measurement import merged, read_measurement
from soaflow.compare.places import place_order
from soaflow.errors import ProvenanceError
from soaflow.files import read_json, sha256_of_file
from soaflow.lineage.figures import without_shards
from soaflow.lineage.kinds import KINDS, kind_of
from soaflow.lineage.rows import row_digests
from soaflow.passport import read_passport
from soaflow.records import to_json
from soaflow.soa.storage import EVENTS, PREDICTIONS

Thing = tuple[str, str]
"""Kind and name of something that can be compared."""

EVENT_FILES, PREDICTION_FILES, OUTCOMES = "event files", "prediction files", "outcomes"
"""Kinds beside those of files: shards byte by byte, and which questions of the verdicts are passed."""

_OF_THE_FIRST_SHARD = ("rerun", "batches of")
"""How the criteria of a verdict begin that are measured on the first shard, as its invariance is."""


def contents_of(results: Path | str) -> dict[Thing, str]:
    """Return the digest of everything in a folder of results that should be the same in every run.

    Raises
    ------
    ProvenanceError
        If there is no such folder, or nothing in it.
    StorageError, ArtifactError
        If a file in it is damaged.
    """
    results = Path(results)
    by_kind: dict[str, list[str]] = defaultdict(list)
    for path in sorted(results.rglob("*")):
        if path.is_file():
            name = str(path.relative_to(results))
            by_kind[kind_of(name).name].append(name)
    found = {
        thing: digest
        for kind in KINDS
        for thing, digest in _DIGESTS.get(kind.name, _nothing if kind.measured else _bytes(kind.name))(
            results, by_kind[kind.name]
        )
    }
    if not found:
        raise ProvenanceError(f"{results} holds no results: name the folder results of a finished run")
    return found


Digests = Iterator[tuple[Thing, str]]


def _nothing(_results: Path, _names: Sequence[str]) -> Digests:
    yield from ()


def _bytes(kind: str) -> Callable[[Path, Sequence[str]], Digests]:
    def of_bytes(results: Path, names: Sequence[str]) -> Digests:
        for name in names:
            yield (kind, name.partition("/")[2]), sha256_of_file(results / name)

    return of_bytes


def _events(results: Path, names: Sequence[str]) -> Digests:
    """Digest events by item, and the files as they are."""
    for dataset, shards in _by(names, lambda parts: parts[1], shard=2).items():
        for item, digest in row_digests([results / name for name in shards], EVENTS).items():
            yield ("events", f"{dataset}: {item}"), digest
    yield from _bytes(EVENT_FILES)(results, names)


def _predictions(results: Path, names: Sequence[str]) -> Digests:
    """Digest predictions by item, and the files as they are."""
    of_all = _by(names, lambda parts: f"{parts[1]}/{parts[3].removesuffix('.h5')}", shard=2)
    for what, shards in of_all.items():
        for item, digest in row_digests([results / name for name in shards], PREDICTIONS).items():
            yield ("predictions", f"{what}: {item.partition('/')[2]}"), digest
    yield from _bytes(PREDICTION_FILES)(results, names)


def _passports(results: Path, names: Sequence[str]) -> Digests:
    """Digest what passports say but for when they were made."""
    for name in names:
        passport = read_passport(results / name.removesuffix(".json"))
        yield ("passports", name.partition("/")[2]), passport.digest()


def _differences(results: Path, names: Sequence[str]) -> Digests:
    """Digest the differences of all shards together, which are merged exactly."""
    of_all = _by(names, lambda parts: f"{parts[1]}/{parts[3].removesuffix('.json')}", shard=2)
    for what, shards in of_all.items():
        whole = merged([read_measurement(results / name) for name in shards])
        yield ("differences", what), _digest(without_shards(to_json(whole)))


def _figures(kind: str) -> Callable[[Path, Sequence[str]], Digests]:
    def of_figures(results: Path, names: Sequence[str]) -> Digests:
        for name in names:
            yield (
                (kind, name.partition("/")[2].removesuffix(".json")),
                _digest(without_shards(read_json(results / name))),
            )

    return of_figures


def _verdicts(results: Path, names: Sequence[str]) -> Digests:
    """Digest the figures of verdicts without those of the first shard, and apart from them what is passed."""
    for name in names:
        what = name.partition("/")[2]
        if not name.endswith(".json"):
            yield (OUTCOMES if what == "passed.txt" else "verdicts", what), sha256_of_file(results / name)
            continue
        verdict = without_shards(read_json(results / name))
        passed = {
            f"{output['item']} {criterion['name']}": criterion["passed"]
            for output in verdict["outputs"]
            for criterion in output["criteria"]
        }
        yield (OUTCOMES, what.removesuffix(".json")), _digest(passed)
        yield ("verdicts", what.removesuffix(".json")), _digest(verdict | {"outputs": _outputs(verdict)})


def _outputs(verdict: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the outputs with each criterion's numbers; its words name rows by shard."""
    return [
        output
        | {
            "criteria": [
                {key: criterion[key] for key in ("name", "measured", "allowed", "needed", "passed")}
                for criterion in output["criteria"]
                if not criterion["name"].startswith(_OF_THE_FIRST_SHARD)
            ]
        }
        for output in verdict["outputs"]
    ]


def _by(
    names: Sequence[str], key: Callable[[Sequence[str]], str], *, shard: int
) -> dict[str, tuple[str, ...]]:
    """Put names together by a key of their parts, those of one key in the order of the shards."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names, key=lambda name: place_order(name.split("/")[shard], 0)):
        found[key(name.split("/"))].append(name)
    return {what: tuple(shards) for what, shards in found.items()}


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()


_DIGESTS: Mapping[str, Callable[[Path, Sequence[str]], Digests]] = {
    "events": _events,
    "gathered predictions": _nothing,
    "predictions": _predictions,
    "passports": _passports,
    "differences": _differences,
    "invariance": _figures("invariance"),
    "pairs": _figures("pairs"),
    "decisions": _figures("decisions"),
    "verdicts": _verdicts,
}
