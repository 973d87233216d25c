"""The calls that a bisection makes: an events file in pieces, and the walks through a program for each.

The invariant: the tensors are views of the mapped file, as a job's are, and a piece has at most
`ROWS_OF_A_CALL` rows, so memory does not grow with the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import fx

from soaflow.archives import PROGRAM
from soaflow.bisect.walk import Walk, tensors_of
from soaflow.description import Description
from soaflow.errors import ArtifactError, StorageError
from soaflow.export.program import eager_program, read_program
from soaflow.infer.tensors import check_layouts, input_tensors
from soaflow.soa.batches import batch_ranges
from soaflow.soa.calls import call_rows
from soaflow.soa.contract import STORED
from soaflow.soa.outputs import OutputBlob
from soaflow.soa.signature import Signature
from soaflow.soa.storage import EVENTS, map_blob, read_header
from soaflow.soa.tensor_library import torch_library
from soaflow.verification import TORCH, verify_artifact

ROWS_OF_A_CALL = 1024
"""The most rows of one call."""

Inputs = list[torch.Tensor]


@dataclass(frozen=True, slots=True)
class Program:
    """A program that can be walked through.

    Parameters
    ----------
    description
        What it says of itself.
    module
        Its graph with its weights.
    sha256
        Of its file.
    """

    description: Description
    module: fx.GraphModule
    sha256: str

    @classmethod
    def read(cls, path: Path | str) -> "Program":
        """Read a program's file, with its passport beside it.

        Raises
        ------
        ArtifactError
            If it is not the file of its passport, or no program.
        """
        passport = verify_artifact(path, accept=[TORCH])
        if passport.description.kind != PROGRAM:
            raise ArtifactError(
                f"{path} is of kind '{passport.description.kind}': name a program, from results/programs"
            )
        module = eager_program(read_program(path))
        assert isinstance(module, fx.GraphModule)
        return cls(passport.description, module, passport.sha256)

    @property
    def signature(self) -> Signature:
        """Of the program, with outputs as it computes them."""
        signature = Signature.from_mapping(self.description.signature)
        return signature.computed_in(self.description.dtype)

    @property
    def outputs_are(self) -> str:
        """Whether its outputs are stored or returned."""
        return str(self.description.contract["outputs_are"])

    def tensors(self, inputs: Inputs, *, widened: bool = False) -> Inputs:
        """Return the tensors of a call: the inputs, and memory for the outputs if it stores them."""
        if self.outputs_are != STORED:
            return inputs
        signature = self.signature.with_float64_outputs() if widened else self.signature
        rows = call_rows(signature, inputs)
        return [*inputs, *OutputBlob(signature, rows).rows(0, rows)]

    def walk(self, inputs: Inputs, *, widened: bool = False) -> Walk:
        """Return a walk through one call; widened, it is the reference."""
        return Walk(self.module, self.tensors(inputs, widened=widened), widened=widened)

    def outputs(self, inputs: Inputs, *, widened: bool = False) -> list[torch.Tensor]:
        """Return the outputs of one call."""
        tensors = self.tensors(inputs, widened=widened)
        (end,) = self.module.graph.find_nodes(op="output")
        returned: Any = Walk(self.module, tensors, widened=widened).run_to(end)
        return tensors[len(inputs) :] if self.outputs_are == STORED else tensors_of(returned)


class Calls:
    """The first rows of an events file, as the inputs of calls.

    Parameters
    ----------
    signature
        Of the program.
    events
        The file.
    rows
        How many rows to use; 0, or more than there are, for all.

    Raises
    ------
    StorageError
        If it is no events file, has other layouts than the signature's, or has no rows.
    """

    def __init__(self, signature: Signature, events: Path | str, rows: int = 0) -> None:
        header = read_header(events, EVENTS)
        check_layouts(header, signature)
        blobs = {name: map_blob(header, name) for name in signature.collections}
        there = blobs[signature.sliced_collection].placement.rows
        if not there:
            raise StorageError(
                f"{events} has no rows of '{signature.sliced_collection}': name a file with some"
            )
        self.rows = min(rows or there, there)
        self._inputs = input_tensors(signature, blobs, ROWS_OF_A_CALL, torch_library())

    def __iter__(self) -> Iterator[Inputs]:
        """Yield the inputs of each call."""
        for index, (begin, end) in enumerate(batch_ranges(self.rows, ROWS_OF_A_CALL)):
            yield [tensor.batch(index, begin, end) for tensor in self._inputs]
