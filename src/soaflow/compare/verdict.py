"""The outcome of a comparison: pass or fail for each output item, with the figures.

The invariant: a verdict passes exactly when its own figures say so; a file that claims otherwise is
refused. It holds neither times nor paths, so the same predictions give the same bytes.

>>> found = differences(np.zeros(2), np.array([0.0, 0.3]), Tolerance(0.1, 0.0))
>>> verdict = Verdict("toy", "0", "Net", "jit", 2, (OutputVerdict("pt", "GeV", Tolerance(0.1, 0.0), found),))
>>> verdict.passed, judge_again(verdict, Tolerance(0.5, 0.0)).passed
(False, True)
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from soaflow.compare.agreement import check_agreement
from soaflow.compare.differences import differences
from soaflow.compare.figures import QUANTILES, Differences
from soaflow.compare.histogram import EDGES
from soaflow.compare.inputs import with_inputs
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.ulp import HIGHEST
from soaflow.compare.yardstick import Yard, Yardstick
from soaflow.envelope import holds, minimum_absolute, minimum_relative
from soaflow.errors import ConfigError, StorageError
from soaflow.files import read_json, write_json
from soaflow.records import from_json, to_json
from soaflow.soa.signature import PREDICTION_COLLECTION
from soaflow.soa.storage import PREDICTIONS, FileHeader, MappedBlob, map_blob, read_header

SCHEMA_VERSION = 2
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
    yard
        The error of eager float32; None where it was not given.
    """

    item: str
    unit: str
    tolerance: Tolerance
    differences: Differences
    yard: Yard | None = None

    @property
    def passed(self) -> bool:
        """Whether the tolerance and the yardstick hold and no NaN or infinity is mismatched."""
        return self.within_tolerance and not self.differences.mismatches and self.yard_failure is None

    @property
    def yard_failure(self) -> str | None:
        """How the output is worse than eager float32 allows; None if it is not, or there is no yardstick."""
        return None if self.yard is None else self.yard.failure(self.differences)

    @property
    def yard_ratio(self) -> float | None:
        """The largest difference over that of eager float32; None if that is not known, or not finite."""
        return None if self.yard is None else self.yard.ratio_of(self.differences.max_absolute)

    @property
    def minimum_factor(self) -> float | None:
        """The smallest factor of the yardstick that would pass; None if none would or there is none."""
        return None if self.yard is None else self.yard.minimum_factor(self.differences)

    @property
    def within_tolerance(self) -> bool:
        """Whether no finite difference is over the tolerance."""
        found = self.differences
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
    yard: Verdict | None = None,
    yardstick: Yardstick | None = None,
    events: Path | str | None = None,
    inputs: Mapping[str, Sequence[str]] | None = None,
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
    yard
        The verdict of eager float32 on the same rows.
    yardstick
        How the error of `yard` limits that of the candidate; without one it is shown and limits nothing.
    events, inputs
        The events file, and the items of its collections whose values are kept for the worst rows; the
        collections must have a row for each row of the predictions.

    Raises
    ------
    StorageError
        If a file is not a sound predictions file, or the two differ in dataset, shard, model,
        number of rows, or in an item's name, kind, shape, unit or (wider floats of the reference
        aside) dtype; or the yard's verdict is of other predictions, or the events have other rows.
    ConfigError
        If an item has no tolerance.
    """
    headers = read_header(reference, PREDICTIONS), read_header(candidate, PREDICTIONS)
    check_agreement(*headers, first_rows=first_rows)
    blobs = [map_blob(header, PREDICTION_COLLECTION) for header in headers]
    placement = blobs[1].placement
    _check_yard(headers[1], yard, placement.rows, placement.layout.names)
    described = {key: str(headers[1].attributes.get(key, "")) for key in _IDENTITY}
    outputs = tuple(
        _judge(name, blobs[0], blobs[1], _tolerance_of(name, tolerances), described["shard"])
        for name in placement.layout.names
    )
    if yard is not None:
        outputs = tuple(
            dataclasses.replace(output, yard=Yard.of(yard.variant, eager.differences, yardstick))
            for output, eager in zip(outputs, yard.outputs, strict=True)
        )
    if events is not None:
        outputs = tuple(
            dataclasses.replace(output, differences=found)
            for output, found in zip(
                outputs, with_inputs([o.differences for o in outputs], events, inputs or {}), strict=True
            )
        )
    return Verdict(**described, rows=placement.rows, outputs=outputs)


def judge_again(
    verdict: Verdict,
    tolerances: Tolerance | Mapping[str, Tolerance],
    *,
    yardstick: Yardstick | None = None,
) -> Verdict:
    """Judge at other tolerances, and by another yardstick if one is given, from the statistics alone.

    The number of values over a new tolerance is not known from them, only whether it is zero: it
    is None in a failure judged again.

    Raises
    ------
    ConfigError
        If an item has no tolerance.
    """
    return dataclasses.replace(
        verdict,
        outputs=tuple(_output_again(output, tolerances, yardstick) for output in verdict.outputs),
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
_ADDED = ("schema_version", "passed", "histogram_edges", "ulp_edges")
_DERIVED = ("passed", "minimum_absolute", "minimum_relative", "minimum_factor", "yard_ratio", "yard_failure")
_DERIVED_FIGURES = ("mean_absolute", "mean_relative", "cosine")
_QUANTILES = ("quantiles_absolute", "quantiles_relative")


def _to_mapping(verdict: Verdict) -> dict[str, Any]:
    mapping = to_json(verdict)
    for output, entry in zip(verdict.outputs, mapping["outputs"], strict=True):
        entry |= {key: getattr(output, key) for key in _DERIVED}
        entry["differences"] |= _derived_figures(output.differences)
    mapping |= {"schema_version": SCHEMA_VERSION, "passed": verdict.passed}
    return {**mapping, "histogram_edges": EDGES.tolist(), "ulp_edges": list(HIGHEST)}


def _derived_figures(found: Differences) -> dict[str, Any]:
    derived: dict[str, Any] = {key: getattr(found, key) for key in _DERIVED_FIGURES}
    for name, quantile in zip(_QUANTILES, (found.quantile_absolute, found.quantile_relative), strict=True):
        derived[name] = {
            str(share): None if bounds is None else list(bounds)
            for share, bounds in ((share, quantile(share)) for share in QUANTILES)
        }
    return derived


def _from_mapping(read: Any) -> Verdict:
    if not isinstance(read, dict) or read.get("schema_version") != SCHEMA_VERSION:
        version = read.get("schema_version") if isinstance(read, dict) else None
        raise ValueError(f"schema_version is {version!r}, and this soaflow reads {SCHEMA_VERSION}")
    fields = {key: value for key, value in read.items() if key not in _ADDED}
    if isinstance(fields.get("outputs"), list):
        fields["outputs"] = [_without_derived(entry) for entry in fields["outputs"]]
    verdict = from_json(Verdict, fields, "verdict")
    if any(output.differences.rows != verdict.rows for output in verdict.outputs):
        raise ValueError("an output has another number of rows than the verdict")
    if _to_mapping(verdict) != read:
        raise ValueError(
            "passed, minimum_absolute or another derived value contradicts the figures, or edges differ"
        )
    return verdict


def _without_derived(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    kept = {key: value for key, value in entry.items() if key not in _DERIVED}
    figures = kept.get("differences")
    if isinstance(figures, dict):
        derived = (*_DERIVED_FIGURES, *_QUANTILES)
        kept["differences"] = {key: value for key, value in figures.items() if key not in derived}
    return kept


def _check_yard(candidate: FileHeader, yard: Verdict | None, rows: int, items: Sequence[str]) -> None:
    if yard is None:
        return
    given = (yard.dataset, yard.shard, yard.model, yard.rows, [output.item for output in yard.outputs])
    attributes = [str(candidate.attributes.get(key, "")) for key in _IDENTITY[:3]]
    if given != (*attributes, rows, list(items)):
        raise StorageError(
            f"the verdict of '{yard.variant}' to judge {candidate.path} by is of other predictions "
            f"({yard.model}, {yard.dataset}, shard {yard.shard}, {yard.rows} rows): compare eager float32 on "
            "the same events"
        )


def _tolerance_of(item: str, tolerances: Tolerance | Mapping[str, Tolerance]) -> Tolerance:
    if isinstance(tolerances, Tolerance):
        return tolerances
    if item not in tolerances:
        raise ConfigError(f"item '{item}' has no tolerance: there are some for {', '.join(tolerances)}")
    return tolerances[item]


def _judge(
    name: str, reference: MappedBlob, candidate: MappedBlob, tolerance: Tolerance, shard: str
) -> OutputVerdict:
    unit = candidate.placement.layout[name].unit
    values = _rows_first(candidate, name)
    found = differences(_rows_first(reference, name)[: len(values)], values, tolerance, shard=shard)
    return OutputVerdict(name, unit, tolerance, found)


def _rows_first(blob: MappedBlob, name: str) -> np.ndarray[Any, Any]:
    array = blob.array(name)
    return array if array.ndim else np.broadcast_to(array, (blob.placement.rows,))


def _output_again(
    output: OutputVerdict, tolerances: Tolerance | Mapping[str, Tolerance], yardstick: Yardstick | None
) -> OutputVerdict:
    if yardstick is not None and output.yard is not None:
        output = dataclasses.replace(output, yard=dataclasses.replace(output.yard, yardstick=yardstick))
    tolerance = _tolerance_of(output.item, tolerances)
    if tolerance == output.tolerance:
        return output
    passes = holds(output.differences.envelope, tolerance.absolute, tolerance.relative)
    found = dataclasses.replace(output.differences, over_tolerance=0 if passes else None)
    return dataclasses.replace(output, tolerance=tolerance, differences=found)
