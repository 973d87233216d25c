"""The settings of one model, checked against the datasets and variants that it names.

The invariant: a model's tensors are over the same layouts in every dataset that it runs on. No job's start-up
waits for torch or NumPy here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from soaflow.compare.observables import Limits, Observable, observables_of
from soaflow.errors import ConfigError
from soaflow.keys import known, named
from soaflow.soa.layout import Layout
from soaflow.soa.signature import Signature
from soaflow.train.settings import TrainingSettings


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the configuration.

    Parameters
    ----------
    name
        Its key.
    class_path
        `package.module:Class` or `path/to/file.py:Class`.
    arguments
        Keyword arguments of the class.
    signature
        Input and output tensors over items.
    datasets
        Names of the datasets it runs on.
    variants
        Names of the variants it runs in.
    jit
        `"trace"` or `"script"`.
    training
        None for a model that is not trained.
    training_dataset
        Name of the dataset to train on; None for a model that is not trained.
    weights
        Path of a state dict to use instead of training, or None.
    store_outputs
        Whether AOT artifacts store their outputs in the caller's memory, if they are floating.
    measure_profiles
        Whether the report shows which build profile is the fastest.
    observables
        What a physicist takes from the outputs.
    limits
        How far each of these may shift, by its name.
    measure_speed, measure_starts
        Whether the report shows how fast the variants are, and how they start.
    """

    name: str
    class_path: str
    arguments: dict[str, Any]
    signature: Signature
    datasets: tuple[str, ...]
    variants: tuple[str, ...]
    jit: str
    training: TrainingSettings | None
    training_dataset: str | None
    weights: str | None
    store_outputs: bool
    measure_profiles: bool
    observables: tuple[Observable, ...]
    limits: dict[str, Limits]
    measure_speed: bool
    measure_starts: bool


def model_from_mapping(
    name: str,
    entry: Mapping[str, Any],
    layouts: Mapping[str, Mapping[str, Layout]],
    variants: tuple[str, ...],
    alignment: int,
) -> Model:
    """Make a model of its entry in the configuration.

    Parameters
    ----------
    name
        Its key.
    entry
        Checked by the schema.
    layouts
        Of the collections of each dataset, by their names.
    variants
        Names of all variants.
    alignment
        Of the collections, in bytes.

    Raises
    ------
    ConfigError
        If a name is not there, or the parts do not fit.
    """
    key = f"models.{name}"
    datasets = tuple(known(f"{key}.datasets", dataset, layouts) for dataset in entry["datasets"])
    signatures = [
        named(key, Signature.from_config, entry["inputs"], entry["outputs"], layouts[dataset], alignment)
        for dataset in datasets
    ]
    for dataset, signature in zip(datasets, signatures, strict=True):
        if signature != signatures[0]:
            raise ConfigError(
                f"configuration: key '{key}.datasets': the collections of '{dataset}' have other layouts "
                f"than those of '{datasets[0]}': give the datasets the same items or make two models"
            )
    training = entry.get("training")
    training_dataset = None
    if training is not None:
        training_dataset = known(f"{key}.training.dataset", training.get("dataset", datasets[0]), datasets)
    observables = named(f"{key}.physics", observables_of, entry.get("physics", ()), signatures[0])
    model = Model(
        name=name,
        class_path=entry["class"],
        arguments=dict(entry.get("arguments", {})),
        signature=signatures[0],
        datasets=datasets,
        variants=tuple(known(f"{key}.variants", v, variants) for v in entry.get("variants", variants)),
        jit=entry.get("jit", "trace"),
        training=None
        if training is None
        else named(f"{key}.training", TrainingSettings.from_mapping, training),
        training_dataset=training_dataset,
        weights=entry.get("weights"),
        store_outputs=entry.get("store_outputs", True),
        measure_profiles=entry.get("measure_profiles", False),
        observables=tuple(observable for observable, _ in observables),
        limits={observable.name: limits for observable, limits in observables},
        measure_speed=entry.get("measure_speed", True),
        measure_starts=entry.get("measure_starts", False),
    )
    if model.training is not None:
        named(f"{key}.training", model.training.check, model.signature)
        _check_one_item(model)
    return model


def _check_one_item(model: Model) -> None:
    """Check that each trained output fills one item, which the physics result then shows."""
    assert model.training is not None
    trained = {target.output for target in model.training.targets}
    for output in model.signature.outputs:
        if output.name in trained and len(output.items) > 1:
            raise ConfigError(
                f"configuration: key 'models.{model.name}.training.targets' names output '{output.name}', "
                f"which fills {len(output.items)} items: give it one eigen item of that shape"
            )
