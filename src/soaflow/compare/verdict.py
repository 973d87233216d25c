"""The outcome of a comparison: pass or fail for each output item, with the figures.

The invariant: a verdict passes exactly when its own figures say so; a file that claims otherwise is
refused. It holds neither times nor paths, so the same predictions give the same bytes.

>>> found = differences(np.zeros(2), np.array([0.0, 0.3]), Tolerance(0.1, 0.0))
>>> verdict = Verdict("toy", "0", "Net", "jit", 2, (OutputVerdict("pt", "GeV", Tolerance(0.1, 0.0), found),))
>>> verdict.passed, judge_again(verdict, Tolerance(0.5, 0.0)).passed
(False, True)
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from soaflow.compare.differences import Differences, differences
from soaflow.compare.envelope import holds, minimum_absolute, minimum_relative
from soaflow.compare.histogram import EDGES
from soaflow.compare.records import from_json, to_json
from soaflow.compare.tolerances import Tolerance
from soaflow.errors import ConfigError, StorageError
from soaflow.files import read_json, write_json
from soaflow.soa.layout import Item
from soaflow.soa.signature import PREDICTION_COLLECTION
from soaflow.soa.storage import PREDICTIONS, FileHeader, MappedBlob, map_blob, read_header

SCHEMA_VERSION = 1
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
    tolerance
        That it was judged with.
    differences
        The figures.
    """

    item: str
    unit: str
    tolerance: Tolerance
    differences: Differences

    @property
    def passed(self) -> bool:
        """Whether no value is over the tolerance and no NaN or infinity is mismatched."""
        found = self.differences
        if found.mismatches:
            return False
        if found.over_tolerance is not None:
            return found.over_tolerance == 0
        return holds(found.envelope, self.tolerance.absolute, self.tolerance.relative)

    @property
    def minimum_absolute(self) -> float | None:
        """The smallest absolute tolerance that would pass beside the relative one; None if none would."""
        found = self.differences
        return None if found.mismatches else minimum_absolute(found.envelope, self.tolerance.relative)

    @property
    def minimum_relative(self) -> float | None:
        """The smallest relative tolerance that would pass beside the absolute one; None if none would."""
        found = self.differences
        return None if found.mismatches else minimum_relative(found.envelope, self.tolerance.absolute)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome for one predictions file.

    Parameters
    ----------
    dataset, shard, model, variant
        What was compared with the reference; empty where the files do not say.
    rows
        Of the predictions; 0 is a pass.
    outputs
        One for each item of the prediction collection, in its order.
    """

    dataset: str
    shard: str
    model: str
    variant: str
    rows: int
    outputs: tuple[OutputVerdict, ...]

    @property
    def passed(self) -> bool:
        """Whether every output passed; without an output nothing did."""
        return bool(self.outputs) and all(output.passed for output in self.outputs)


def compare_files(
    reference: Path | str,
    candidate: Path | str,
    tolerances: Tolerance | Mapping[str, Tolerance],
    *,
    first_rows: bool = False,
) -> Verdict:
    """Compare a predictions file with the reference's.

    Parameters
    ----------
    reference, candidate
        Predictions files of one model for the same events. The reference's floating items may be
        wider than the candidate's, as it is computed and stored in float64; the differences are
        taken in float64, so that the candidate's rounding counts.
    tolerances
        One for all items, or one for each item of the prediction collection by name.
    first_rows
        Whether the candidate may hold but the first rows of the reference, which are then compared.

    Raises
    ------
    StorageError
        If a file is not a sound predictions file, or the two differ in dataset, shard, model,
        number of rows, or in an item's name, kind, shape, unit or (wider floats of the reference
        aside) dtype.
    ConfigError
        If an item has no tolerance.
    """
    headers = read_header(reference, PREDICTIONS), read_header(candidate, PREDICTIONS)
    _check_agreement(*headers, first_rows=first_rows)
    blobs = [map_blob(header, PREDICTION_COLLECTION) for header in headers]
    placement = blobs[1].placement
    described = {key: str(headers[1].attributes.get(key, "")) for key in _IDENTITY}
    return Verdict(
        **described,
        rows=placement.rows,
        outputs=tuple(
            _judge(name, blobs[0], blobs[1], _tolerance_of(name, tolerances))
            for name in placement.layout.names
        ),
    )


def judge_again(verdict: Verdict, tolerances: Tolerance | Mapping[str, Tolerance]) -> Verdict:
    """Judge at other tolerances, from the statistics alone.

    The number of values over a new tolerance is not known from them, only whether it is zero: it
    is None in a failure judged again.

    Raises
    ------
    ConfigError
        If an item has no tolerance.
    """
    return dataclasses.replace(
        verdict, outputs=tuple(_output_again(output, tolerances) for output in verdict.outputs)
    )


def write_verdict(path: Path | str, verdict: Verdict) -> None:
    """Write a verdict as JSON.

    Beside the fields of `Verdict` stand `schema_version`, `passed`, the `histogram_edges` (log10 of the
    difference), and each output's `passed`, `minimum_absolute` and `minimum_relative` (null when no
    tolerance would pass).
    """
    write_json(path, _to_mapping(verdict))


def read_verdict(path: Path | str) -> Verdict:
    """Read a verdict.

    Raises
    ------
    StorageError
        If the file is missing, has a missing, unknown or wrong key, or contradicts itself.
    """
    read = read_json(path)
    try:
        return _from_mapping(read)
    except (TypeError, ValueError) as error:
        raise StorageError(f"{path} is not a verdict: {error}; compare the predictions again") from error


_IDENTITY = ("dataset", "shard", "model", "variant")
_ADDED = ("schema_version", "passed", "histogram_edges")
_DERIVED = ("passed", "minimum_absolute", "minimum_relative")


def _to_mapping(verdict: Verdict) -> dict[str, Any]:
    mapping = to_json(verdict)
    for output, entry in zip(verdict.outputs, mapping["outputs"], strict=True):
        entry |= {key: getattr(output, key) for key in _DERIVED}
    mapping |= {"schema_version": SCHEMA_VERSION, "passed": verdict.passed}
    return {**mapping, "histogram_edges": EDGES.tolist()}


def _from_mapping(read: Any) -> Verdict:
    if not isinstance(read, dict) or read.get("schema_version") != SCHEMA_VERSION:
        version = read.get("schema_version") if isinstance(read, dict) else None
        raise ValueError(f"schema_version is {version!r}, and this soaflow reads {SCHEMA_VERSION}")
    fields = {key: value for key, value in read.items() if key not in _ADDED}
    if isinstance(fields.get("outputs"), list):
        fields["outputs"] = [
            {key: value for key, value in entry.items() if key not in _DERIVED}
            if isinstance(entry, dict)
            else entry
            for entry in fields["outputs"]
        ]
    verdict = from_json(Verdict, fields, "verdict")
    if any(output.differences.rows != verdict.rows for output in verdict.outputs):
        raise ValueError("an output has another number of rows than the verdict")
    if _to_mapping(verdict) != read:
        raise ValueError(
            "passed, minimum_absolute or minimum_relative contradict the figures, or edges differ"
        )
    return verdict


def _check_agreement(reference: FileHeader, candidate: FileHeader, *, first_rows: bool) -> None:
    for key in ("dataset", "shard", "model"):
        expected, found = (str(header.attributes.get(key, "")) for header in (reference, candidate))
        if expected != found:
            raise StorageError(
                f"{candidate.path} is of {key} '{found}' and {reference.path} of {key} '{expected}': "
                "compare predictions of one model for the same events"
            )
    placements = [header.collection(PREDICTION_COLLECTION).placement for header in (reference, candidate)]
    wanted, given = (placement.layout.items for placement in placements)
    for item, other in zip(wanted, given, strict=False):
        if not _comparable(item, other):
            raise StorageError(
                f"{candidate.path} has {_described(other)} where {reference.path} has {_described(item)}: "
                "compare predictions of one model, and name the one with wider floats as the reference"
            )
    if len(wanted) != len(given):
        raise StorageError(
            f"{candidate.path} has {len(given)} output items and {reference.path} has "
            f"{len(wanted)}: compare predictions of one model"
        )
    fewer = first_rows and placements[1].rows < placements[0].rows
    if placements[0].rows != placements[1].rows and not fewer:
        raise StorageError(
            f"{candidate.path} has {placements[1].rows} rows and {reference.path} has "
            f"{placements[0].rows}: run inference on the same events"
        )


def _comparable(reference: Item, candidate: Item) -> bool:
    wider = reference.floating and candidate.floating and reference.itemsize >= candidate.itemsize
    return reference == (dataclasses.replace(candidate, dtype=reference.dtype) if wider else candidate)


def _described(item: Item) -> str:
    unit = f" in {item.unit}" if item.unit else ""
    return f"item '{item.name}' ({item.dtype} {item.kind.value} {list(item.shape)}{unit})"


def _tolerance_of(item: str, tolerances: Tolerance | Mapping[str, Tolerance]) -> Tolerance:
    if isinstance(tolerances, Tolerance):
        return tolerances
    if item not in tolerances:
        raise ConfigError(f"item '{item}' has no tolerance: there are some for {', '.join(tolerances)}")
    return tolerances[item]


def _judge(name: str, reference: MappedBlob, candidate: MappedBlob, tolerance: Tolerance) -> OutputVerdict:
    unit = candidate.placement.layout[name].unit
    values = _rows_first(candidate, name)
    found = differences(_rows_first(reference, name)[: len(values)], values, tolerance)
    return OutputVerdict(name, unit, tolerance, found)


def _rows_first(blob: MappedBlob, name: str) -> np.ndarray[Any, Any]:
    array = blob.array(name)
    return array if array.ndim else np.broadcast_to(array, (blob.placement.rows,))


def _output_again(output: OutputVerdict, tolerances: Tolerance | Mapping[str, Tolerance]) -> OutputVerdict:
    tolerance = _tolerance_of(output.item, tolerances)
    if tolerance == output.tolerance:
        return output
    passes = holds(output.differences.envelope, tolerance.absolute, tolerance.relative)
    found = dataclasses.replace(output.differences, over_tolerance=0 if passes else None)
    return dataclasses.replace(output, tolerance=tolerance, differences=found)
