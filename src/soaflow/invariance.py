"""The file that says whether rows give the same bits in batches of any size, and when they are run again.

The invariant: everything in it was measured in one process with one loaded model, and is compared with the
same first run, in which all rows were one call. It holds neither times nor paths.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from soaflow.files import write_json
from soaflow.records import read_record, to_json
from soaflow.sameness import OutputSameness

INVARIANCE_VERSION = 1
"""Version of the keys of the file."""


@dataclass(frozen=True, slots=True)
class Batches:
    """What was found in batches of one size.

    Parameters
    ----------
    size
        Rows of a batch; the last one may have had fewer.
    outputs
        One for each item of the prediction collection, in its order; of small batches, for fewer rows.
    """

    size: int
    outputs: tuple[OutputSameness, ...]


@dataclass(frozen=True, slots=True)
class Invariance:
    """What was found for one model, run in one way on the first rows of one shard.

    Parameters
    ----------
    dataset, shard, model, variant
        What was run; the variant stands for all that differ from it in the batch size alone.
    weights_sha256, events_sha256
        Of what the predictions of these rows are made from; empty where the files do not say.
    rows
        That were run.
    rerun
        The last run, after all others, against the first: all rows in one call both times.
    batches
        By the size of a batch, as the configuration orders them.

    Raises
    ------
    ValueError
        If the rerun has other rows, or a run has more of them or other outputs.
    """

    derived: ClassVar[tuple[str, ...]] = ("invariance_version",)

    dataset: str
    shard: str
    model: str
    variant: str
    weights_sha256: str
    events_sha256: str
    rows: int
    rerun: tuple[OutputSameness, ...]
    batches: tuple[Batches, ...]

    def __post_init__(self) -> None:
        items = [output.item for output in self.rerun]
        for outputs in (self.rerun, *(batches.outputs for batches in self.batches)):
            if [output.item for output in outputs] != items:
                raise ValueError("the runs have other outputs than one another")
            if any(output.sameness.rows > self.rows for output in outputs):
                raise ValueError(f"an output has more than the {self.rows} rows of the first run")
        if any(output.sameness.rows != self.rows for output in self.rerun):
            raise ValueError(f"the rerun has another number of rows than {self.rows}")

    @property
    def invariance_version(self) -> int:
        """Of the file's form."""
        return INVARIANCE_VERSION

    def describe(self) -> str:
        """Return what a person at a terminal wants to know, in one line."""
        runs = [("run again", self.rerun), *((f"batches of {one.size}", one.outputs) for one in self.batches)]
        parts = [f"{self.rows} rows"]
        for name, outputs in runs:
            ulp = [o.sameness.largest_ulp for o in outputs if not o.sameness.same_bits]
            parts.append(f"{name}: up to {max(ulp)} ULP apart" if ulp else f"{name}: same bits")
        return "; ".join(parts)


def write_invariance(path: Path | str, found: Invariance) -> None:
    """Write what was found as JSON: the fields of `Invariance`, and its version."""
    write_json(path, to_json(found))


def read_invariance(path: Path | str) -> Invariance:
    """Read what was found.

    Raises
    ------
    StorageError
        If the file is missing, or has a missing, unknown or wrong key.
    """
    return read_record(
        Invariance, path, kind="invariance", version=INVARIANCE_VERSION, remedy="measure the invariance again"
    )
