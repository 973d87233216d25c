"""The training loop.

The invariant: the same model, settings, files and seed give the same weights, bit by bit, in any
process of one machine: one thread, deterministic algorithms, and an order of batches that comes from
the seed alone. Torch's global state is afterwards what it was before, except for the one thread.
"""

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from soaflow.errors import ModelError, TrainingError
from soaflow.soa.batches import batch_ranges
from soaflow.soa.calls import check_outputs
from soaflow.soa.signature import Signature
from soaflow.threads import run_single_threaded
from soaflow.train import losses
from soaflow.train.curve import Epoch
from soaflow.train.data import (
    Tensors,
    TrainingFile,
    epoch_ranges,
    one_sided_targets,
    open_training_file,
    training_variance,
)
from soaflow.train.settings import Loss, TrainingSettings

_VALIDATION_BATCH_ROWS = 4096


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a training did.

    Parameters
    ----------
    epochs
        The learning curve.
    best_epoch
        The epoch whose weights the model now has; 0 if there were no training rows, so that it has
        its initial weights.
    """

    epochs: list[Epoch]
    best_epoch: int


def train(
    model: nn.Module,
    signature: Signature,
    settings: TrainingSettings,
    event_files: Sequence[Path | str],
    *,
    seed: int,
) -> TrainingResult:
    """Train a model in place by Adam, and leave it with its best weights, in `eval` mode.

    The best weights are those with the smallest validation loss or, without validation rows, the
    smallest training loss. Training stops when `settings.patience` epochs brought no better ones. A
    batch of a single row is trained with batch normalisation and dropout in `eval` mode, because one
    row has no variance. Where the training or the validation rows have one class only of several, a
    warning is written to the standard error stream.

    Parameters
    ----------
    model
        Called with the inputs of the signature, in its order.
    signature
        Inputs and outputs over items.
    settings
        Of the training.
    event_files
        All files to train on.
    seed
        Of the order of batches and of the model's own randomness.

    Raises
    ------
    ConfigError
        If a target does not fit the signature.
    StorageError, TrainingError
        If a file cannot be trained on (see `soaflow.train.data.open_training_file`).
    TrainingError
        If the model has nothing to train, does not take its inputs, or its loss becomes NaN or infinite.
    ModelError
        If the outputs are not those that the signature declares.
    """
    run_single_threaded()
    settings.check(signature)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise TrainingError(
            f"{type(model).__name__} has no parameters to train: remove its training from the configuration"
        )
    files = [open_training_file(path, signature, settings) for path in event_files]
    for sentence in one_sided_targets(files, settings.targets):
        print(f"warning: {sentence}", file=sys.stderr)
    with _deterministic(seed):
        result = _Training(model, signature, settings, files).run(np.random.default_rng(seed))
    model.eval()
    return result


class _Training:
    """One training: what stays the same from batch to batch."""

    def __init__(
        self,
        model: nn.Module,
        signature: Signature,
        settings: TrainingSettings,
        files: Sequence[TrainingFile],
    ) -> None:
        self.model = model
        self.signature = signature
        self.settings = settings
        self.files = files
        self.losses = _loss_functions(signature, settings, files)
        self.validation = [
            (file, first + begin, first + end)
            for file in files
            for first, last in file.split.validation
            for begin, end in batch_ranges(last - first, _VALIDATION_BATCH_ROWS)
        ]

    def run(self, generator: np.random.Generator) -> TrainingResult:
        """Train, and give the model its best weights."""
        if not any(file.split.training for file in self.files):
            return TrainingResult([], 0)
        optimizer = torch.optim.Adam(
            (parameter for parameter in self.model.parameters() if parameter.requires_grad),
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )
        epochs: list[Epoch] = []
        best_epoch, best_loss, best_weights = 0, float("inf"), self.model.state_dict()
        for epoch in range(1, self.settings.epochs + 1):
            training_loss = self._train_epoch(optimizer, generator, epoch)
            validation_loss = self._validate(epoch) if self.validation else None
            epochs.append(Epoch(epoch, training_loss, validation_loss, best=False))
            loss = training_loss if validation_loss is None else validation_loss
            if loss < best_loss:
                best_epoch, best_loss = epoch, loss
                best_weights = copy.deepcopy(self.model.state_dict())
            elif epoch - best_epoch >= self.settings.patience:
                break
        self.model.load_state_dict(best_weights)
        epochs[best_epoch - 1] = replace(epochs[best_epoch - 1], best=True)
        return TrainingResult(epochs, best_epoch)

    def _train_epoch(
        self, optimizer: torch.optim.Optimizer, generator: np.random.Generator, epoch: int
    ) -> float:
        batches = [
            (file, begin, end)
            for file in self.files
            for rows in file.split.training
            for begin, end in epoch_ranges(rows, self.settings.batch_size, generator)
        ]
        total = 0.0
        for index in generator.permutation(len(batches)):
            file, begin, end = batches[index]
            self.model.train(end - begin > 1)
            optimizer.zero_grad()
            loss = self._loss(file, begin, end)
            total += self._value(loss, epoch) * (end - begin)
            self._backward(loss)
            optimizer.step()
        return total / sum(file.split.training_rows for file in self.files)

    def _validate(self, epoch: int) -> float:
        self.model.eval()
        with torch.inference_mode():
            total = sum(
                self._value(self._loss(file, begin, end), epoch) * (end - begin)
                for file, begin, end in self.validation
            )
        return total / sum(file.split.validation_rows for file in self.files)

    def _loss(self, file: TrainingFile, begin: int, end: int) -> torch.Tensor:
        inputs, targets = file.batch(begin, end)
        try:
            outputs = self.model(*inputs)
        except Exception as error:  # a user's model may raise anything
            shapes = ", ".join(
                f"{spec.name} {list(tensor.shape)}"
                for spec, tensor in zip(self.signature.inputs, inputs, strict=True)
            )
            raise TrainingError(
                f"{self._name} cannot be called with {shapes}: {_first_line(error)}; make the model's "
                "arguments and inputs fit each other"
            ) from error
        outputs = tuple(outputs) if isinstance(outputs, tuple | list) else (outputs,)
        try:
            check_outputs(self.signature, end - begin, outputs)
        except ModelError as error:
            raise ModelError(f"{self._name}: {error}") from error
        try:
            terms = [loss(outputs, target) for loss, target in zip(self.losses, targets, strict=True)]
            return torch.stack(terms).sum()
        except (RuntimeError, IndexError, TypeError) as error:
            raise TrainingError(
                f"the loss of {self._name} cannot be computed: {_first_line(error)}; give the targets other "
                "losses or the model other outputs"
            ) from error

    def _backward(self, loss: torch.Tensor) -> None:
        try:
            loss.backward()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise TrainingError(
                f"{self._name} has no gradient: {_first_line(error)}; make its outputs depend on its "
                "parameters through operations that torch can differentiate"
            ) from error

    @property
    def _name(self) -> str:
        return type(self.model).__name__

    def _value(self, loss: torch.Tensor, epoch: int) -> float:
        value = loss.item()
        if not np.isfinite(value):
            raise TrainingError(
                f"the loss of {self._name} became {value} in epoch {epoch}: lower the learning_rate"
            )
        return value


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


_LossFunction = Callable[[Tensors, torch.Tensor], torch.Tensor]


def _loss_functions(
    signature: Signature, settings: TrainingSettings, files: Sequence[TrainingFile]
) -> list[_LossFunction]:
    """Return, for each target, its loss as a function of all outputs and the target's values."""
    names = [output.name for output in signature.outputs]

    def function(index: int) -> _LossFunction:
        target = settings.targets[index]
        position = names.index(target.output)
        match target.loss:
            case Loss.SQUARED_ERROR:
                variance = training_variance(files, index)
                return lambda outputs, truth: losses.squared_error(outputs[position], truth, variance)
            case Loss.CROSS_ENTROPY:
                return lambda outputs, truth: losses.cross_entropy(outputs[position], truth)
            case Loss.BINARY_CROSS_ENTROPY:
                equals = target.equals
                return lambda outputs, truth: losses.binary_cross_entropy(outputs[position], truth, equals)

    return [function(index) for index in range(len(settings.targets))]


@contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    # Unlike use_deterministic_algorithms this does not import torch._inductor, which takes a second.
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("error")
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            yield
    finally:
        torch.set_deterministic_debug_mode(before)
