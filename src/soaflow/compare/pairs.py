"""How far the predictions of every two variants of a model are apart, over all shards of a dataset.

The invariant: each pair is compared for the same rows, made by the same weights from the same events as far
as the files say, and what is found does not depend on the order in which the files are given.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import ClassVar

from soaflow.compare.agreement import check_agreement
from soaflow.compare.measurement import Shard
from soaflow.compare.places import place_order
from soaflow.compare.sources import Source, opened_source
from soaflow.errors import StorageError
from soaflow.files import write_json
from soaflow.records import read_record, to_json
from soaflow.sameness import OutputSameness, joined_outputs, sameness_of_outputs

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


def measure_pairs(predictions: Sequence[Path | str], variants: Sequence[str], path: Path | str) -> Pairs:
    """Compare every two variants, and write what is found.

    Parameters
    ----------
    predictions
        The files of one model on all shards of one dataset, in all variants.
    variants
        Their names, in the order in which to write them.
    path
        The file to write.

    Raises
    ------
    StorageError
        If a file is not a sound predictions file, is missing for a shard, is there twice, or does not fit the
        others of its shard.
    OutputError
        If the file cannot be written.
    """
    found: dict[tuple[str, str], tuple[OutputSameness, ...]] = {}
    shards: list[Shard] = []
    with ExitStack() as stack:
        by_shard = _by_shard([stack.enter_context(opened_source(file)) for file in predictions], variants)
        for shard, sources in by_shard.items():
            shards.append(Shard(shard, sources[variants[0]].rows, _stated("events_sha256", sources)))
            for two in combinations(variants, 2):
                first, other = _wider_first(sources, *two)
                check_agreement(sources[first], sources[other], first_rows=False)
                outputs = sameness_of_outputs(
                    sources[other].items, sources[first].values, sources[other].values, shard=shard
                )
                before = found.get((first, other))
                found[first, other] = outputs if before is None else joined_outputs(before, outputs)
    one = next(iter(by_shard.values()))
    pairs = Pairs(
        dataset=_stated("dataset", one),
        model=_stated("model", one),
        weights_sha256=_stated("weights_sha256", one),
        shards=tuple(shards),
        variants=tuple(variants),
        pairs=tuple(Pair(first, other, outputs) for (first, other), outputs in found.items()),
    )
    write_json(path, to_json(pairs))
    return pairs


def read_pairs(path: Path | str) -> Pairs:
    """Read what was found.

    Raises
    ------
    StorageError
        If the file is missing, or has a missing, unknown or wrong key.
    """
    return read_record(Pairs, path, kind="pairs", version=PAIRS_VERSION, remedy="compare the variants again")


def _stated(key: str, sources: Mapping[str, Source]) -> str:
    """Return what the files that agree with one another say, if any of them says it."""
    return next(filter(None, (source.identity[key] for source in sources.values())), "")


def _by_shard(sources: Sequence[Source], variants: Sequence[str]) -> dict[str, dict[str, Source]]:
    """Return the files by shard, in the order of their names, and variant; each must be there once."""
    found: dict[str, dict[str, Source]] = defaultdict(dict)
    for source in sources:
        shard, variant = source.identity["shard"], source.identity["variant"]
        if variant not in variants:
            raise StorageError(
                f"{source.path} is of variant '{variant}', and the pairs are of {', '.join(variants)}: "
                "name the predictions of these"
            )
        if variant in found[shard]:
            raise StorageError(
                f"{source.path} and {found[shard][variant].path} are both of variant '{variant}', shard "
                f"'{shard}': name one of them"
            )
        found[shard][variant] = source
    for shard, by_variant in found.items():
        if missing := [name for name in variants if name not in by_variant]:
            raise StorageError(
                f"shard '{shard}' has no predictions of variant '{missing[0]}': run inference for it"
            )
    return {shard: found[shard] for shard in sorted(found, key=lambda shard: place_order(shard, 0))}


def _wider_first(sources: Mapping[str, Source], first: str, other: str) -> tuple[str, str]:
    """Return the two variants, the one with wider floats first."""
    widths = [sum(item.itemsize for item in sources[name].items) for name in (first, other)]
    return (other, first) if widths[1] > widths[0] else (first, other)
