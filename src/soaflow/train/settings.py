"""What the configuration says of a model's training.

>>> target = {"output": "b", "collection": "jets", "item": "flavour", "loss": "squared_error"}
>>> entry = {"epochs": 5, "batch_size": 64, "learning_rate": 0.001, "targets": [target]}
>>> settings = TrainingSettings.from_mapping(entry)
>>> settings.targets[0].item, settings.validation_fraction
('flavour', 0.2)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from soaflow.errors import ConfigError
from soaflow.soa.layout import Item, ItemKind
from soaflow.soa.signature import RowRange, Signature
from soaflow.soa.views import plan_view


class Loss(StrEnum):
    """How far an output is from its target; see `soaflow.train.losses` for the formulas."""

    SQUARED_ERROR = "squared_error"
    CROSS_ENTROPY = "cross_entropy"
    BINARY_CROSS_ENTROPY = "binary_cross_entropy"


@dataclass(frozen=True, slots=True)
class Target:
    """What one output is to learn.

    Parameters
    ----------
    output
        Name of the model's output.
    collection
        That the model predicts for.
    item
        Of that collection: the truth.
    loss
        Of the output against the item.
    equals
        For `binary_cross_entropy`: the truth is 1 where the item has this value, else 0. None for an
        item that holds the truth itself, from 0 to 1.

    Raises
    ------
    ConfigError
        If `equals` is given for another loss.
    """

    output: str
    collection: str
    item: str
    loss: Loss
    equals: float | None = None

    def __post_init__(self) -> None:
        if self.equals is not None and self.loss is not Loss.BINARY_CROSS_ENTROPY:
            raise ConfigError(
                f"targets: the target of output '{self.output}' has the key equals, which fits the loss "
                f"{Loss.BINARY_CROSS_ENTROPY} only: remove it"
            )

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any]) -> Self:
        """Make a target from the configuration's entry.

        Raises
        ------
        ConfigError
            If the loss is unknown or `equals` does not fit it.
        """
        if entry["loss"] not in list(Loss):
            raise ConfigError(
                f"targets: the target of output '{entry['output']}' has the loss {entry['loss']!r}: "
                f"choose one of {', '.join(Loss)}"
            )
        return cls(
            entry["output"], entry["collection"], entry["item"], Loss(entry["loss"]), entry.get("equals")
        )


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How a model is trained.

    Parameters
    ----------
    epochs
        At most so many passes over the training rows; from 1.
    batch_size
        Rows a step; from 1.
    learning_rate
        Of Adam; above 0.
    targets
        At most one an output; the sum of their losses is made small.
    validation_fraction
        Of each file's events, those kept out of the training; from 0 to below 1.
    patience
        Epochs without a smaller validation loss after which training stops; from 1.
    weight_decay
        Of Adam; 0 or more.

    Raises
    ------
    ConfigError
        If a number is out of its range, there is no target, or an output has two.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    targets: tuple[Target, ...]
    validation_fraction: float = 0.2
    patience: int = 5
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: give a whole number from 1")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ConfigError(f"learning_rate is {self.learning_rate}: give a number above 0")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ConfigError(f"weight_decay is {self.weight_decay}: give a number of 0 or more")
        if not 0 <= self.validation_fraction < 1:
            raise ConfigError(
                f"validation_fraction is {self.validation_fraction}: give a number from 0 to below 1"
            )
        if not self.targets:
            raise ConfigError("targets is empty: give at least one")
        outputs = [target.output for target in self.targets]
        if twice := sorted({name for name in outputs if outputs.count(name) > 1}):
            raise ConfigError(f"targets: output '{twice[0]}' has two targets: keep one of them")

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any]) -> Self:
        """Make the settings from the configuration's entry `training`; keys of others are left alone.

        Raises
        ------
        ConfigError
            If a value is out of its range, or a target does not fit.
        """
        optional = ("validation_fraction", "patience", "weight_decay")
        return cls(
            epochs=entry["epochs"],
            batch_size=entry["batch_size"],
            learning_rate=entry["learning_rate"],
            targets=tuple(Target.from_mapping(target) for target in entry["targets"]),
            **{name: entry[name] for name in optional if name in entry},
        )

    def check(self, signature: Signature) -> None:
        """Check that each target can be learned by its output.

        Parameters
        ----------
        signature
            Of the model, on the dataset to train on.

        Raises
        ------
        ConfigError
            If an output or item is not there, the item is not of the collection that the model
            predicts for, or its dtype or shape does not fit the loss.
        """
        for target in self.targets:
            _check_target(target, signature)


def _check_target(target: Target, signature: Signature) -> None:
    label = f"targets: the target of output '{target.output}'"
    outputs = {output.name: output for output in signature.outputs}
    if target.output not in outputs:
        raise ConfigError(f"{label}: the model has no such output: choose one of {', '.join(outputs)}")
    sliced = next(spec for spec in signature.inputs if spec.rows is RowRange.SLICED)
    if target.collection != sliced.collection:
        raise ConfigError(
            f"{label} is in collection '{target.collection}', and the model predicts for the rows of "
            f"'{sliced.collection}': choose an item of that collection"
        )
    if target.item not in sliced.layout:
        raise ConfigError(
            f"{label}: there is no item '{target.item}': collection '{sliced.collection}' has "
            f"{', '.join(sliced.layout.names)}"
        )
    item = sliced.layout[target.item]
    output_shape = plan_view(signature.output_layout.place(1), outputs[target.output].items).sizes[1:]
    if fault := _misfit(target.loss, item, output_shape):
        raise ConfigError(f"{label}: {fault}")


def _misfit(loss: Loss, item: Item, output_shape: tuple[int, ...]) -> str:
    if item.kind is ItemKind.SCALAR:
        return f"item '{item.name}' is a scalar: choose an item with a value for each row"
    if loss is Loss.CROSS_ENTROPY:
        if item.kind is not ItemKind.COLUMN or "int" not in item.dtype:
            return f"cross_entropy needs a column of integers, and item '{item.name}' is {_described(item)}"
        if len(output_shape) != 1 or output_shape[0] < 2:
            return f"cross_entropy needs an output of shape [classes], and this one is {list(output_shape)}"
        return ""
    item_shape = item.shape or (1,)
    if item_shape != output_shape:
        return (
            f"{loss} needs an item of the output's shape {list(output_shape)}, and item "
            f"'{item.name}' has {list(item_shape)}"
        )
    return ""


def _described(item: Item) -> str:
    return f"{item.kind} {item.dtype}"
