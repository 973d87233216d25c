"""A multi-layer perceptron with two outputs: a regression and a classification."""

import torch
from torch import nn


class MultiHeadNet(nn.Module):
    """Backbone of 32, 64, 256, 64 and 32 with ReLU, under a linear head and a softmax head.

    Parameters
    ----------
    features
        K, the number of input features.
    classes
        C, the number of classes.
    """

    def __init__(self, features: int = 3, classes: int = 3) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
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
        )
        self.regression_head = nn.Linear(32, 1)
        self.classification_head = nn.Linear(32, classes)

    def forward(self, particles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map features `[B, K]` to a value `[B, 1]` and class probabilities `[B, C]`; all floating."""
        shared = self.backbone(particles)
        return self.regression_head(shared), torch.softmax(self.classification_head(shared), dim=1)
