"""The whole configuration as typed values, checked across its parts.

Each stage owns the settings of its part; this module composes them and checks what no part can see
alone: that datasets, collections, items, outputs and variants named in one place exist in another.
It imports neither torch nor NumPy, because every job's start-up parses the configuration.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from soaflow.compare.invariance_settings import InvarianceSettings
from soaflow.compare.tolerances import Tolerance, Tolerances
from soaflow.compare.waivers import Waiver
from soaflow.compare.yardstick import Yardstick
from soaflow.errors import ConfigError
from soaflow.events.datasets import Dataset, ToyDataset, dataset_from_mapping
from soaflow.infer.timing_settings import SpeedSettings, StartSettings
from soaflow.infer.variants import REFERENCE, Backend, Variant, reference_of
from soaflow.keys import known, named
from soaflow.model_settings import Model, model_from_mapping
from soaflow.profiles import find_profile
from soaflow.schema import dates_as_texts, schema_error
from soaflow.seeds import derived_seed
from soaflow.soa.layout import DEFAULT_ALIGNMENT
from soaflow.targets import FAT, NATIVE, find_target, levels_of


@dataclass(frozen=True, slots=True)
class Run:
    """One inference job: a model in one variant on one shard of a dataset."""

    dataset: str
    shard: int
    model: str
    variant: str


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of a run.

    Parameters
    ----------
    seed
        From which every random stream is derived.
    alignment
        Of all layouts, in bytes.
    targets
        Names of what AOT artifacts are built for.
    datasets, models, variants
        By name; the variants without the reference.
    tolerances
        By dtype, with each model's own.
    yardsticks
        By dtype: how far beyond eager float32's error a variant may lie.
    invariance
        By model: what is measured of a row's bits, and what must be the same.
    waivers
        Failures that are accepted for some time.
    speed, starts
        How the speed and the start of a model's variants are measured.
    """

    seed: int
    alignment: int
    targets: tuple[str, ...]
    datasets: dict[str, Dataset]
    models: dict[str, Model]
    variants: dict[str, Variant]
    tolerances: dict[str, Tolerances]
    yardsticks: dict[str, Yardstick]
    invariance: dict[str, InvarianceSettings]
    waivers: tuple[Waiver, ...]
    speed: SpeedSettings
    starts: StartSettings

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], schema: Mapping[str, Any]) -> Self:
        """Make the configuration from what its file holds.

        Parameters
        ----------
        mapping
            The configuration file's content.
        schema
            Its JSON schema.

        Raises
        ------
        ConfigError
            If a key is unknown or missing, a value does not fit, or a name refers to nothing.
        """
        mapping = dates_as_texts(mapping)
        if sentence := schema_error(mapping, schema):
            raise ConfigError(f"configuration: {sentence}")
        seed, alignment = mapping["seed"], mapping.get("alignment", DEFAULT_ALIGNMENT)
        datasets = {
            name: named(
                f"datasets.{name}",
                dataset_from_mapping,
                name,
                entry,
                seed=derived_seed(seed, "dataset", name),
                alignment=alignment,
            )
            for name, entry in mapping["datasets"].items()
        }
        targets = tuple(mapping.get("targets", [NATIVE]))
        for target in targets:
            named("targets", find_target, target)
        variants = {
            name: named(f"variants.{name}", Variant.from_mapping, name, entry)
            for name, entry in mapping["variants"].items()
        }
        for variant in variants.values():
            _check_target(variant, targets)
        layouts = {name: dataset.layouts() for name, dataset in datasets.items()}
        models = {
            name: model_from_mapping(name, entry, layouts, tuple(variants), alignment)
            for name, entry in mapping["models"].items()
        }
        tolerances = {
            name: _tolerances(models[name], mapping["tolerances"], entry.get("tolerances", {}), variants)
            for name, entry in mapping["models"].items()
        }
        yardsticks = {
            dtype: named(f"yardstick.{dtype}", Yardstick.from_mapping, f"yardstick.{dtype}", entry)
            for dtype, entry in mapping.get("yardstick", {}).items()
        }
        invariance = {
            name: InvarianceSettings.of_model(
                name,
                mapping.get("invariance", {}),
                entry.get("invariance", {}),
                models[name].variants,
                variants,
            )
            for name, entry in mapping["models"].items()
        }
        waivers = tuple(
            _waiver(f"waivers.{index}", entry, models)
            for index, entry in enumerate(mapping.get("waivers", []))
        )
        speed = SpeedSettings.from_mapping(mapping.get("speed", {}))
        if speed.base:
            known("speed.base", speed.base, variants)
        return cls(
            seed=seed,
            alignment=alignment,
            targets=targets,
            datasets=datasets,
            models=models,
            variants=variants,
            tolerances=tolerances,
            yardsticks=yardsticks,
            invariance=invariance,
            waivers=waivers,
            speed=speed,
            starts=StartSettings.from_mapping(mapping.get("starts", {})),
        )

    def variant(self, name: str, model: str) -> Variant:
        """Return a variant of a model by name, the reference included."""
        return reference_of(self.models[model].signature) if name == REFERENCE.name else self.variants[name]

    def item_tolerances(self, model: str, dtype: str) -> dict[str, Tolerance]:
        """Return the tolerance of each item that a model predicts, for what it computes in."""
        return {
            item: self.tolerances[model].find(output.name, dtype)
            for output in self.models[model].signature.outputs
            for item in output.items
        }

    def measured_for(self, model: str, variant: str) -> str:
        """Return the first variant of a model that differs from one in its batches only, or that one."""
        asked = self.variants[variant]
        names = self.models[model].variants
        return next(name for name in names if self.variants[name].differs_in_batches_only(asked))

    def batch_limits(self, model: str, variant: str) -> dict[str, Tolerance | None]:
        """Return how far each item may be from itself in batches of another size; None for no bit."""
        settings, asked = self.invariance[model], self.variants[variant]
        same_bits = find_profile(asked.profile).same_bits or variant in settings.same_bits
        own = self.item_tolerances(model, asked.precision)
        return {i: None if same_bits else settings.tolerances.get(asked.precision, own[i]) for i in own}

    def yard_of(self, model: str) -> str | None:
        """Return the variant of a model that is eager in float32 on the CPU, with the largest batches."""
        names = [name for name in self.models[model].variants if self._is_yard(self.variants[name])]
        # 0 stands for the whole shard.
        return max(names, key=lambda name: self.variants[name].batch_size or math.inf, default=None)

    @staticmethod
    def _is_yard(variant: Variant) -> bool:
        return (variant.backend, variant.dtype, variant.device) == (Backend.EAGER, "float32", "cpu")

    def dataset_seed(self, name: str) -> int | None:
        """Return the seed of a generated dataset, which no other has; None for one that is read."""
        dataset = self.datasets[name]
        return dataset.seed if isinstance(dataset, ToyDataset) else None

    def model_seed(self, name: str) -> int:
        """Return the seed of a model's initial weights and training, which no other model has."""
        return derived_seed(self.seed, "model", name)

    def runs(self) -> Iterator[Run]:
        """Yield every inference job that is compared with the reference."""
        for model in self.models.values():
            for dataset in model.datasets:
                for shard in range(self.datasets[dataset].shards):
                    for variant in model.variants:
                        yield Run(dataset, shard, model.name, variant)


def _check_target(variant: Variant, targets: tuple[str, ...]) -> None:
    """Check that the artifact that a variant runs is one of those that are built."""
    if variant.backend is not Backend.AOT:
        return
    if variant.target == FAT and not levels_of(targets):
        raise ConfigError(
            f"configuration: key 'variants.{variant.name}.target' is 'fat', and 'targets' has no level of "
            "x86-64 to put into it: add x86-64-v3, for one"
        )
    if variant.target not in (FAT, *targets):
        raise ConfigError(
            f"configuration: key 'variants.{variant.name}.target' is '{variant.target}', which is not among "
            f"'targets' ({', '.join(targets)}): add it there"
        )


def _tolerances(
    model: Model,
    general: Mapping[str, Any],
    own: Mapping[str, Any],
    variants: Mapping[str, Variant],
) -> Tolerances:
    outputs = tuple(output.name for output in model.signature.outputs)
    for output in own:
        known(f"models.{model.name}.tolerances", output, outputs)
    tolerances: Tolerances = named(
        f"models.{model.name}.tolerances", Tolerances.from_mapping, general, own, model=model.name
    )
    for name in model.variants:
        for output in outputs:
            named(f"variants.{name}", tolerances.find, output, variants[name].precision)
    return tolerances


def _waiver(key: str, entry: Mapping[str, Any], models: Mapping[str, Model]) -> Waiver:
    """Make a waiver of something that the run judges."""
    model = models[known(f"{key}.model", entry["model"], models)]
    known(f"{key}.variant", entry["variant"], model.variants)
    if "dataset" in entry:
        known(f"{key}.dataset", entry["dataset"], model.datasets)
    outputs = {output.name: output.items for output in model.signature.outputs}
    items = outputs[known(f"{key}.output", entry["output"], outputs)] if "output" in entry else ()
    waiver: Waiver = named(key, Waiver.from_mapping, entry, items)
    return waiver
