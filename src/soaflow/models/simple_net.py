"""A multi-layer perceptron that regresses one number from a row of features."""

import torch
from torch import nn


class SimpleNet(nn.Module):
    """Linear layers of 32, 64, 256, 64 and 32 with ReLU, and a last one without.

    Parameters
    ----------
    features
        K, the number of input features.
    """

    def __init__(self, features: int = 3) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, 32),
            nn.ReLU(),
            nn.Linear(32, 64),
            nn.ReLU(),
            nn.Linear(64, 256),
            nn.ReLU(),
            nn.Linear(256, 64),
            nn.ReLU(),
            nn.Linear(64, 32),
            nn.ReLU(),
            nn.Linear(32, 1),
        )

    def forward(self, particles: torch.Tensor) -> torch.Tensor:
        """Map features `[B, K]` to one value a row, `[B, 1]`; both floating."""
        prediction: torch.Tensor = self.layers(particles)
        return prediction
