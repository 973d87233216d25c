"""A b-jet tagger: the example of a user's own model.

The normalisation is the model's first operation, so an artifact takes jets as they are in the file,
and whoever runs it cannot forget or mix up the means and widths of the training.
"""

import torch
from torch import nn


class JetTagger(nn.Module):
    """Batch normalisation of the features, two hidden layers with ReLU, sigmoid.

    Parameters
    ----------
    features
        K, the number of input features.
    width
        Of the hidden layers.
    """

    def __init__(self, features: int, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm1d(features),
            nn.Linear(features, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, 1),
            nn.Sigmoid(),
        )

    def forward(self, jets: torch.Tensor) -> torch.Tensor:
        """Map features `[B, K]` to the probability of a b-jet, `[B, 1]`; both floating."""
        probability: torch.Tensor = self.layers(jets)
        return probability
