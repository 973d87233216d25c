"""The losses that an output can be trained with.

Each is a mean over the rows of a batch, of order 1 for an untrained model, so that the losses of
several outputs can be added:

- `squared_error`: mean of (output - target)^2 over the variance of the target in the training rows. It
  is 1 for the best constant output, whatever the target's unit, and is 1 - R^2 in statistics.
- `cross_entropy`: mean of -log(probability of the target's class), for an output of probabilities.
- `binary_cross_entropy`: mean of -t log(p) - (1 - t) log(1 - p), for an output p of one probability.

>>> probability = torch.tensor([[0.5], [0.5]])
>>> round(binary_cross_entropy(probability, torch.tensor([[5], [4]]), equals=5).item(), 4)
0.6931
"""

import torch
from torch.nn import functional


def squared_error(output: torch.Tensor, target: torch.Tensor, variance: float) -> torch.Tensor:
    """Return the mean of (output - target)^2 / variance.

    Parameters
    ----------
    output
        Floating, `[B, ...]`.
    target
        Of the same shape, any dtype.
    variance
        Above 0, in the target's unit squared.
    """
    return functional.mse_loss(output, target.to(output.dtype)) / variance


def cross_entropy(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean of -log(probability of the target's class).

    Parameters
    ----------
    output
        Probabilities, `[B, C]`.
    target
        Classes from 0 to C - 1, `[B, 1]`, any integer dtype.
    """
    smallest = torch.finfo(output.dtype).tiny  # of a probability that has come down to 0
    return functional.nll_loss(output.clamp(min=smallest).log(), target[:, 0].long())


def binary_cross_entropy(
    output: torch.Tensor, target: torch.Tensor, equals: float | None = None
) -> torch.Tensor:
    """Return the mean of -t log(p) - (1 - t) log(1 - p), each logarithm at least -100.

    Parameters
    ----------
    output
        Probabilities p, `[B, ...]`.
    target
        Of the same shape, any dtype.
    equals
        t is 1 where the target has this value, else 0; None for a target that is t.
    """
    truth = target if equals is None else target == equals
    return functional.binary_cross_entropy(output, truth.to(output.dtype))
