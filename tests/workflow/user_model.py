"""A user's own model, named in the configuration by the path of its file."""

import torch
from torch import nn


class Scaled(nn.Module):
    """Multiplies its input by a constant; it has no parameters and is not trained."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, particles: torch.Tensor) -> torch.Tensor:
        return particles * self.factor


class Pixels(nn.Module):
    """A convolution, then the sum over all pixels; its first operation sees the strides of the blob."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, kernel_size=3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.convolution(image).sum(dim=(1, 2, 3)).unsqueeze(1)
