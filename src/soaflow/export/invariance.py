"""Whether a row gives the same bits in a batch of any size.

The invariant: a batch size that is not returned by `differing_batch_sizes` was run over all rows of one
call, the last batch shorter, and every bit of every output was that of the whole call.
"""

import torch

from soaflow.export.check import Model, as_tensors
from soaflow.export.examples import CallShape, Values, example_inputs
from soaflow.soa.batches import batch_ranges
from soaflow.soa.signature import RowRange, Signature
from soaflow.threads import on_one_thread

SMALL = CallShape(rows=303, capacity=320, offset=7, whole_rows=40, whole_capacity=64)
LARGE = CallShape(rows=4099, capacity=4224, offset=7, whole_rows=40, whole_capacity=64)
"""Of the whole calls."""

TRIED: tuple[tuple[CallShape, tuple[int, ...]], ...] = (
    (SMALL, (*range(1, 71), 100, 128, 200, 256, 302)),
    (LARGE, (302, 1000, 1024, 4096)),
)
"""Batch sizes by whole call; kernels change between them, at multiples of their own blocks and elsewhere.

One size is tried in both calls, which ties small batches to large ones.
"""

BATCH_SIZES = tuple(sorted({size for _, sizes in TRIED for size in sizes}))
"""All of them."""

_VALUES = Values(largest=2.0, signed=True)


@on_one_thread()
def differing_batch_sizes(model: Model, signature: Signature) -> tuple[int, ...]:
    """Return those of `BATCH_SIZES` at which a bit of a row differs from that in a whole call.

    Parameters
    ----------
    model
        Called with the inputs one by one; returns its outputs.
    signature
        As it is for what the model computes in.
    """
    differing: set[int] = set()
    for shape, sizes in TRIED:
        inputs = example_inputs(signature, shape, seed=0, values=_VALUES)
        with torch.inference_mode():
            whole = [output.clone() for output in as_tensors(model(*inputs))]
            differing |= {
                size for size in sizes if not _same(model, signature, inputs, whole, (shape.rows, size))
            }
    return tuple(sorted(differing))


def _same(
    model: Model,
    signature: Signature,
    inputs: tuple[torch.Tensor, ...],
    whole: list[torch.Tensor],
    rows_and_batch_size: tuple[int, int],
) -> bool:
    for begin, end in batch_ranges(*rows_and_batch_size):
        batch = [
            _rows_of(rows, tensor, begin, end)
            for rows, tensor in zip((spec.rows for spec in signature.inputs), inputs, strict=True)
        ]
        for expected, got in zip(whole, as_tensors(model(*batch)), strict=True):
            if not torch.equal(_bits(expected[begin:end]), _bits(got)):
                return False
    return True


def _rows_of(rows: RowRange, tensor: torch.Tensor, begin: int, end: int) -> torch.Tensor:
    if rows is RowRange.WHOLE:
        return tensor
    if rows is RowRange.BATCH_BEGIN:
        return tensor + begin
    return tensor.narrow(0, begin, end - begin)


def _bits(values: torch.Tensor) -> torch.Tensor:
    """Return floating values as integers, so that NaN equals itself and 0 is not -0."""
    if not values.is_floating_point():
        return values
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}
    return values.contiguous().view(integers[values.element_size()])
