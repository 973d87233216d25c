"""What the configuration says of invariance: which rows and batches are run, and what must be the same.

The invariant: settings are complete and checked once made. This module imports neither torch nor NumPy,
because the configuration is parsed by every job.

>>> settings = InvarianceSettings.from_mapping("invariance", {"pairs": [{"variants": ["aot", "aot_fat"]}]})
>>> settings.batch_sizes, settings.limits_beside("aot_fat"), settings.limits_beside("jit")
((1, 7, 64, 1000), {'aot': None}, {})
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from soaflow.compare.tolerances import Tolerance
from soaflow.errors import ConfigError
from soaflow.keys import known, named

DEFAULT_ROWS = 20000
DEFAULT_CALLS = 1000
DEFAULT_BATCH_SIZES = (1, 7, 64, 1000)


@dataclass(frozen=True, slots=True)
class PairLimit:
    """How far two variants may be apart.

    Parameters
    ----------
    variants
        Their two names.
    tolerance
        None where no bit may differ.

    Raises
    ------
    ConfigError
        If the names are not two.
    """

    variants: tuple[str, ...]
    tolerance: Tolerance | None

    def __post_init__(self) -> None:
        if len(self.variants) != 2 or len(set(self.variants)) != 2:
            raise ConfigError(f"a pair is of the variants {', '.join(self.variants) or 'none'}: name two")


@dataclass(frozen=True, slots=True)
class InvarianceSettings:
    """How the invariance of a model is measured, and what it must hold.

    Parameters
    ----------
    rows
        At most so many of the first shard are run, all of them in one call.
    calls
        At most so many calls are made with batches of one size.
    batch_sizes
        In which they are run beside that.
    tolerances
        By dtype: how far a row may be from itself in a batch of another size; for a dtype without, the
        tolerance of the variant's outputs holds.
    same_bits
        Names of the variants of which no bit may differ between batch sizes.
    pairs
        Pairs of variants that are limited.

    Raises
    ------
    ConfigError
        If a number is not positive, or a size or a pair is there twice.
    """

    rows: int = DEFAULT_ROWS
    calls: int = DEFAULT_CALLS
    batch_sizes: tuple[int, ...] = DEFAULT_BATCH_SIZES
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)
    same_bits: tuple[str, ...] = ()
    pairs: tuple[PairLimit, ...] = ()

    def __post_init__(self) -> None:
        if any(
            type(number) is not int or number < 1 for number in (self.rows, self.calls, *self.batch_sizes)
        ):
            raise ConfigError(
                f"rows {self.rows}, calls {self.calls}, batch sizes {list(self.batch_sizes)}: "
                "give integers from 1"
            )
        for what, entries in (
            ("batch sizes", self.batch_sizes),
            ("pairs", [frozenset(pair.variants) for pair in self.pairs]),
        ):
            if len(set(entries)) != len(entries):
                raise ConfigError(f"one of the {what} is there twice: leave one out")

    @classmethod
    def from_mapping(cls, key: str, entry: Mapping[str, Any]) -> Self:
        """Make the settings from the configuration's entry at `key`.

        Raises
        ------
        ConfigError
            If a key is unknown or a value does not fit.
        """
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(entry) - set(known), key=str):
            raise ConfigError(f"{key} has unknown key {unknown[0]!r}: use {', '.join(known)}")
        try:
            return cls(
                rows=entry.get("rows", DEFAULT_ROWS),
                calls=entry.get("calls", DEFAULT_CALLS),
                batch_sizes=tuple(entry.get("batch_sizes", DEFAULT_BATCH_SIZES)),
                tolerances={
                    dtype: Tolerance.from_mapping(f"{key}.tolerances.{dtype}", tolerance)
                    for dtype, tolerance in entry.get("tolerances", {}).items()
                },
                same_bits=tuple(entry.get("same_bits", ())),
                pairs=tuple(_pair(f"{key}.pairs", pair) for pair in entry.get("pairs", ())),
            )
        except (TypeError, AttributeError) as error:
            raise ConfigError(f"{key}: {error}") from error

    @classmethod
    def of_model(
        cls,
        model: str,
        general: Mapping[str, Any],
        own: Mapping[str, Any],
        runs: Collection[str],
        variants: Collection[str],
    ) -> Self:
        """Make the settings of a model, each of whose own keys is taken before the general one.

        Parameters
        ----------
        model
            Its name.
        general, own
            The entries `invariance` and `models.{model}.invariance`.
        runs, variants
            Names of the variants that the model runs in, and of all.

        Raises
        ------
        ConfigError
            As `from_mapping`, and if an entry names a variant that is not there.
        """
        own_key = f"models.{model}.invariance"
        for key, entry, names in (("invariance", general, variants), (own_key, own, runs)):
            for name in named(key, cls.from_mapping, key, entry).named_variants:
                known(key, name, names)
        merged: Self = named(own_key, cls.from_mapping, own_key, {**general, **own})
        return merged.among(runs)

    @property
    def named_variants(self) -> list[str]:
        """The names of all variants that the settings speak of."""
        return [*self.same_bits, *(name for pair in self.pairs for name in pair.variants)]

    def among(self, variants: Collection[str]) -> Self:
        """Return these settings without pairs of other variants."""
        return replace(self, pairs=tuple(pair for pair in self.pairs if set(pair.variants) <= set(variants)))

    def limits_beside(self, variant: str) -> dict[str, Tolerance | None]:
        """Return how far a variant may be from others, by their names; None where no bit may differ."""
        return {
            next(name for name in pair.variants if name != variant): pair.tolerance
            for pair in self.pairs
            if variant in pair.variants
        }


def _pair(key: str, entry: Mapping[str, Any]) -> PairLimit:
    limit = {name: value for name, value in entry.items() if name != "variants"}
    return PairLimit(tuple(entry.get("variants", ())), Tolerance.from_mapping(key, limit) if limit else None)
