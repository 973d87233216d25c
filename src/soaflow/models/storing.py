"""A model that stores its outputs where the caller wants them.

The invariant: the call takes the inputs, then a tensor for each output, of its sizes and of any strides, and
returns nothing. What is compiled from it needs no memory for the outputs and no copy after the call.
"""

import torch
from torch import nn


class StoringOutputs(nn.Module):
    """Wraps a model; the store, with a cast if the dtypes differ, is the last operation of its graph.

    Parameters
    ----------
    model
        Called with the inputs, one by one; returns a tensor, or a tuple or list of tensors.
    inputs
        How many inputs it takes.
    """

    def __init__(self, model: nn.Module, inputs: int) -> None:
        super().__init__()
        self.model = model
        self.inputs = inputs

    def forward(self, *tensors: torch.Tensor) -> None:
        """Run the model on the first tensors and store its outputs in the others."""
        results = self.model(*tensors[: self.inputs])
        for output, result in zip(
            tensors[self.inputs :],
            results if isinstance(results, tuple | list) else (results,),
            strict=True,
        ):
            output.copy_(result)
