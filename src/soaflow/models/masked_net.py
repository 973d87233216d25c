"""A model without parameters: the sum of the features that a mask leaves."""

import torch
from torch import nn


class MaskedNet(nn.Module):
    """Sums each row's features where the mask is 0."""

    def forward(self, particles: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map features `[B, K]` (floating) and mask `[B, K]` (uint8, 0 or 1) to `[B, 1]`."""
        return (particles * (1 - mask.to(particles.dtype))).sum(dim=1, keepdim=True)
