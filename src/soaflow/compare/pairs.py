"""How far the predictions of every two variants of a model are apart, over all shards of a dataset.

The invariant: the file has every two of its variants once, each for all rows of all shards.
"""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import ClassVar

from soaflow.compare.measurement import Shard
from soaflow.files import write_json
from soaflow.records import read_record, to_json
from soaflow.sameness import OutputSameness

PAIRS_VERSION = 1
"""Version of the keys of the file."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two variants.

    Parameters
    ----------
    first, other
        Their names; where their outputs are floats of two widths, the first has the wider ones, which are
        rounded to those of the other before anything is compared.
    outputs
        One for each item of the prediction collection, in its order.
    """

    first: str
    other: str
    outputs: tuple[OutputSameness, ...]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Every two variants of a model on a dataset.

    Parameters
    ----------
    dataset, model
        What was run.
    weights_sha256
        Of the weights that the predictions were made with; empty where they do not say.
    shards
        In order.
    variants
        Their names, in the order of the configuration.
    pairs
        Of each two of them, in this order.

    Raises
    ------
    ValueError
        If a pair is missing, a shard stands twice, or an output has another number of rows.
    """

    derived: ClassVar[tuple[str, ...]] = ("pairs_version", "rows")

    dataset: str
    model: str
    weights_sha256: str
    shards: tuple[Shard, ...]
    variants: tuple[str, ...]
    pairs: tuple[Pair, ...]

    def __post_init__(self) -> None:
        if len({shard.name for shard in self.shards}) < len(self.shards):
            raise ValueError("a shard stands twice")
        wanted = [set(two) for two in combinations(self.variants, 2)]
        if [{pair.first, pair.other} for pair in self.pairs] != wanted:
            raise ValueError("the pairs are not every two of the variants")
        if any(output.sameness.rows != self.rows for pair in self.pairs for output in pair.outputs):
            raise ValueError(f"an output has another number of rows than {self.rows}")

    @property
    def pairs_version(self) -> int:
        """Of the file's form."""
        return PAIRS_VERSION

    @property
    def rows(self) -> int:
        """Of all shards."""
        return sum(shard.rows for shard in self.shards)

    def with_variant(self, variant: str) -> dict[str, Pair]:
        """Return the pairs that a variant is one of, by the name of the other one."""
        return {
            pair.first if variant == pair.other else pair.other: pair
            for pair in self.pairs
            if variant in (pair.first, pair.other)
        }


def write_pairs(path: Path | str, pairs: Pairs) -> None:
    """Write what was found as JSON.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    write_json(path, to_json(pairs))


def read_pairs(path: Path | str) -> Pairs:
    """Read what was found.

    Raises
    ------
    StorageError
        If the file is missing, or has a missing, unknown or wrong key.
    """
    return read_record(Pairs, path, kind="pairs", version=PAIRS_VERSION, remedy="compare the variants again")
