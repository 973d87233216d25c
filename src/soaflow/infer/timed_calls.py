"""Calls of a model that are made over and over to be timed, and whose outputs are checked all the same.

The invariant: a call here is what a job does for a batch: views of a blob with real events go to the
backend, and the outputs are stored, each batch's in its own rows. Before calls are timed the outputs are made
wrong in every byte; after them, they must again be the bits of the first run. So no time counts of a call
that computed or stored something else, or nothing.
"""

from collections.abc import Mapping
from itertools import cycle

import numpy as np
import numpy.typing as npt

from soaflow.errors import ProofError
from soaflow.infer.backends import Backend
from soaflow.infer.closeness import disagreement
from soaflow.infer.tensors import Outputs, input_tensors
from soaflow.soa.arrangement import item_array
from soaflow.soa.batches import batch_ranges
from soaflow.soa.layout import ItemKind
from soaflow.soa.mapping import blob_in_memory
from soaflow.soa.signature import Signature
from soaflow.soa.storage import MappedBlob
from soaflow.soa.tensor_library import torch_library

_BATCHES_AHEAD, _ROWS_AHEAD = (2, 64), 4096
"""Batches that are called in turn, least and most, and between these their rows in all: enough that a call
does not find its rows in the nearest cache.
"""

_WARM_UP_CALLS = 2
"""TorchScript profiles its first call and optimises for the second."""


class TimedCalls:
    """The calls of one candidate on the batches of a blob, in turn.

    Parameters
    ----------
    name
        Of the candidate, for errors.
    backend
        The model, loaded.
    signature
        Of the model, as declared.
    blobs
        The input collections in memory, by name.
    dtype
        That the backend computes in.
    precision
        Of the outputs, by which they are compared with those of others; that of the dtype unless given.
    batch_size
        Rows of a batch; at most those of the sliced collection. A last, shorter batch is not called.
    most_batches
        That are called in turn, the first ones; by default some, so that rows are not called again at once.

    Raises
    ------
    ContractError
        If the artifact must not be given such a batch.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        signature: Signature,
        blobs: Mapping[str, MappedBlob],
        *,
        dtype: str,
        precision: str = "",
        batch_size: int,
        most_batches: int | None = None,
    ) -> None:
        self.name, self.precision, self.batch_size = name, precision or dtype, batch_size
        signature = signature.computed_in(dtype)
        self._backend = backend
        inputs = input_tensors(signature, blobs, batch_size, torch_library())
        total = blobs[signature.sliced_collection].placement.rows
        full = [pair for pair in batch_ranges(total, batch_size) if pair[1] - pair[0] == batch_size]
        if most_batches is None:
            most_batches = min(max(_ROWS_AHEAD // batch_size, _BATCHES_AHEAD[0]), _BATCHES_AHEAD[1])
        self._batches = [
            ([tensor.batch(index, begin, end) for tensor in inputs], begin, end)
            for index, (begin, end) in enumerate(full[:most_batches])
        ]
        backend.check(self._batches[0][0])
        self._blob = blob_in_memory(signature.output_layout.place(len(self._batches) * batch_size))
        self._outputs = Outputs.mapped(signature, self._blob, torch_library())
        self._ahead = cycle(self._batches)
        self.calls_since_spoilt = 0
        self._first = bytearray()

    @property
    def batches(self) -> int:
        """How many batches are called in turn."""
        return len(self._batches)

    def __call__(self) -> None:
        """Call the model on the next batch."""
        tensors, begin, end = next(self._ahead)
        self._backend.run_batch(tensors, self._outputs, begin, end)
        self.calls_since_spoilt += 1

    def run_through(self) -> None:
        """Call the model on all batches."""
        for _ in self._batches:
            self()

    def first_run(self) -> None:
        """Warm up, call the model on all batches, and keep what it gave: later calls must give the same."""
        for _ in range(_WARM_UP_CALLS):
            self()
        self.spoil()
        self.run_through()
        self._first[:] = self._blob.buffer

    def spoil(self) -> None:
        """Make every byte of the outputs another than it must be, and begin with the first batch."""
        wrong = ~np.frombuffer(self._first or self._blob.buffer, np.uint8)
        np.frombuffer(self._blob.buffer, np.uint8)[...] = wrong
        self._ahead = cycle(self._batches)
        self.calls_since_spoilt = 0

    def check(self) -> None:
        """Check that the calls since `spoil` stored the bits of the first run.

        Raises
        ------
        ProofError
            If they did not, with the first row that differs.
        """
        rows = min(self.calls_since_spoilt, self.batches) * self.batch_size
        for item in self._blob.placement.layout.names:
            found, first = self._blob.array(item)[:rows], self._array(self._first, item)[:rows]
            same = _bits(found) == _bits(first)
            if not same.all():
                row = int(np.argmin(same.reshape(rows, -1).all(axis=1)))
                raise ProofError(
                    f"{self._what(item)} has other bits in timed calls than in the first run (row {row})"
                )

    def check_against(self, other: "TimedCalls") -> None:
        """Check that the first run is, but for rounding, that of another candidate over the same batches.

        Raises
        ------
        ProofError
            If it is not.
        """
        for item in self._blob.placement.layout.names:
            mine, theirs = (calls._array(calls._first, item) for calls in (self, other))
            if found := disagreement(mine, theirs, self.precision, other.precision):
                raise ProofError(f"{self._what(item)} is {found}")

    def _array(self, memory: bytes | bytearray, item: str) -> npt.NDArray[np.generic]:
        return item_array(memoryview(memory), self._blob.placement, item)

    def _what(self, item: str) -> str:
        return f"item '{item}' of '{self.name}' at {self.batch_size} rows a call"


def tiled(blob: MappedBlob, rows: int) -> MappedBlob:
    """Return a blob in memory with so many rows: those of another, from the first again after the last."""
    made = blob_in_memory(blob.placement.layout.place(rows))
    numbers = np.arange(rows) % blob.placement.rows
    for item in made.placement.layout.items:
        source = blob.array(item.name)
        made.array(item.name)[...] = source if item.kind is ItemKind.SCALAR else source[numbers]
    return made


def _bits(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return values as unsigned integers of the same bytes, so that a NaN equals itself."""
    return values.view(f"u{values.itemsize}")
