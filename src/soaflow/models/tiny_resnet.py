"""A small residual network for images of a calorimeter."""

import torch
from torch import nn


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation, added to their input.

    Parameters
    ----------
    channels
        C of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map `[B, C, H, W]` to the same shape."""
        return torch.relu(images + self.layers(images))


class TinyResNet(nn.Module):
    """A first convolution of 16 channels, two blocks, a step down to 32 channels, two blocks, softmax.

    Parameters
    ----------
    channels
        Of an image.
    classes
        C, the number of classes.
    """

    def __init__(self, channels: int = 3, classes: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 16, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            ResidualBlock(16),
            ResidualBlock(16),
            nn.Conv2d(16, 32, kernel_size=3, stride=2, padding=1),
            ResidualBlock(32),
            ResidualBlock(32),
        )
        self.classifier = nn.Linear(32, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map images `[B, channels, H, W]` to class probabilities `[B, C]`; both floating."""
        means = self.layers(image).mean(dim=(2, 3))
        return torch.softmax(self.classifier(means), dim=1)
