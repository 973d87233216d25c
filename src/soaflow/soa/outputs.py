"""A blob in memory that outputs are stored in, as a job's mapped file is.

The invariant: every byte that no output was stored to is still `UNTOUCHED`, which no sound output leaves.
"""

import torch

from soaflow.soa.mapping import UNTOUCHED
from soaflow.soa.signature import Signature
from soaflow.soa.tensors import view
from soaflow.soa.views import plan_view


class OutputBlob:
    """The outputs of a model over all rows.

    Parameters
    ----------
    signature
        Of the model.
    capacity
        Rows that there is room for.

    Attributes
    ----------
    blob
        Its bytes: uint8, shape `(blob_bytes,)`.
    tensors
        A view for each output, over all rows.
    """

    def __init__(self, signature: Signature, capacity: int) -> None:
        placement = signature.output_layout.place(capacity)
        self._plans = [plan_view(placement, output.items) for output in signature.outputs]
        self.blob = torch.full((placement.blob_bytes,), UNTOUCHED, dtype=torch.uint8)
        self.tensors = [view(self.blob, plan) for plan in self._plans]

    def rows(self, begin: int, end: int) -> list[torch.Tensor]:
        """Return the views of the rows from `begin` to before `end`."""
        return [tensor.narrow(0, begin, end - begin) for tensor in self.tensors]

    def untouched_but(self, begin: int, end: int) -> bool:
        """Tell whether nothing was stored outside these rows of the outputs."""
        expected = torch.full_like(self.blob, UNTOUCHED)
        for plan, stored in zip(self._plans, self.rows(begin, end), strict=True):
            view(expected, plan).narrow(0, begin, end - begin).copy_(stored)
        return torch.equal(self.blob, expected)
