"""Compares the predictions of every two variants of a model.

The invariant: each pair is compared for the same rows, made by the same weights from the same events as far
as the files say, and what is found does not depend on the order in which the files are given.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path

from soaflow.compare.agreement import check_agreement
from soaflow.compare.measurement import Shard
from soaflow.compare.pairs import Pair, Pairs, write_pairs
from soaflow.compare.places import place_order
from soaflow.compare.sources import Source, opened_source
from soaflow.errors import StorageError
from soaflow.sameness import OutputSameness, joined_outputs, sameness_of_outputs


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
    write_pairs(path, pairs)
    return pairs


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
