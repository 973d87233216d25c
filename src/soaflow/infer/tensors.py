"""The input and output tensors of a job, made once over all rows and sliced for each batch.

The invariant: every input tensor is a view of a mapped blob, or of a blob on the device with the rows of a
chunk; the one exception, the collection of batch beginnings, is made by the job and counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from soaflow.errors import ModelError, StorageError
from soaflow.soa.batches import batch_ranges
from soaflow.soa.calls import check_outputs
from soaflow.soa.layout import Layout, Placement
from soaflow.soa.mapping import blob_in_memory
from soaflow.soa.signature import BATCH_BEGIN_LAYOUT, RowRange, Signature, TensorInput, TensorOutput
from soaflow.soa.storage import FileHeader, MappedBlob
from soaflow.soa.tensor_library import Tensor, TensorLibrary, dtype_limits, dtype_name
from soaflow.soa.views import ViewPlan, plan_view


def check_layouts(header: FileHeader, signature: Signature) -> None:
    """Check that a file's collections have the layouts that a signature was made for.

    Raises
    ------
    StorageError
        If a collection is missing, or an item differs; units differ only where both sides name one.
    """
    for spec in signature.inputs:
        if not spec.collection:
            continue
        found = header.collection(spec.collection).placement.layout
        if difference := _difference(spec.layout, found):
            raise StorageError(
                f"{header.path}: collection '{spec.collection}' is not the one that input '{spec.name}' was "
                f"made for: {difference}; write the file with the same items or export the model for these"
            )


def _difference(expected: Layout, found: Layout) -> str:
    if found.alignment != expected.alignment:
        return f"its alignment is {found.alignment} bytes and must be {expected.alignment}"
    for item in expected.items:
        if item.name not in found:
            return f"item '{item.name}' is missing, it has {', '.join(found.names)}"
        other = found[item.name]
        for field in ("dtype", "kind", "shape"):
            have, want = getattr(other, field), getattr(item, field)
            if have != want:
                return f"item '{item.name}' has {field} {_plain(have)} and must have {_plain(want)}"
        if item.unit and other.unit and item.unit != other.unit:
            return f"item '{item.name}' is in {other.unit} and must be in {item.unit}"
    if found.names != expected.names:
        return f"its items are {', '.join(found.names)} and must be {', '.join(expected.names)}"
    return ""


def _plain(value: object) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


@dataclass(frozen=True, slots=True)
class InputTensor:
    """One input over all its rows.

    Parameters
    ----------
    spec
        Of the input.
    blob
        That its tensors are views of, where the model runs: uint8, shape `(blob_bytes,)`.
    plan
        Of the tensor over all rows.
    tensor
        Over all rows of the collection, or one row a batch for the batch beginnings.
    in_chunks
        Whether the blob holds the rows of one chunk, and not all.
    """

    spec: TensorInput
    blob: Any
    plan: ViewPlan
    tensor: Any
    in_chunks: bool = False

    def batch(self, index: int, begin: int, end: int, chunk_begin: int = 0) -> Any:
        """Return the rows that a call sees, as a view.

        Parameters
        ----------
        index
            Number of the batch.
        begin, end
            Its rows.
        chunk_begin
            First row of the chunk.
        """
        if self.spec.rows is RowRange.WHOLE:
            return self.tensor
        if self.spec.rows is RowRange.BATCH_BEGIN:
            return self.tensor.narrow(0, index, 1)
        return self.tensor.narrow(0, begin - chunk_begin if self.in_chunks else begin, end - begin)


def input_tensors(
    signature: Signature, blobs: Mapping[str, MappedBlob], batch_size: int, tensors: TensorLibrary
) -> tuple[InputTensor, ...]:
    """Make all input tensors of a job whose model reads the maps themselves.

    Parameters
    ----------
    signature
        Whose layouts are those of the blobs.
    blobs
        Mapped, by collection.
    batch_size
        Rows of a batch; 0 for all in one.
    tensors
        The library that makes them.
    """
    sources = with_batch_beginnings(
        signature, blobs, blobs[signature.sliced_collection].placement.rows, batch_size
    )
    made = {name: tensors.blob_tensor(blob) for name, blob in sources.items()}
    return tuple(
        input_tensor(spec, sources[spec.collection].placement, made[spec.collection], tensors)
        for spec in signature.inputs
    )


def with_batch_beginnings(
    signature: Signature, blobs: Mapping[str, MappedBlob], rows: int, batch_size: int
) -> dict[str, MappedBlob]:
    """Return the blobs of a job's inputs by collection, that of batch beginnings made if one asks for it.

    Parameters
    ----------
    signature
        Of the model.
    blobs
        Mapped, by collection.
    rows, batch_size
        To cut; 0 for all rows in one batch.
    """
    sources = dict(blobs)
    for spec in signature.inputs:
        if spec.rows is RowRange.BATCH_BEGIN:
            begins = [begin for begin, _ in batch_ranges(rows, batch_size)]
            made = sources[spec.collection] = blob_in_memory(BATCH_BEGIN_LAYOUT.place(len(begins)))
            (item,) = spec.items
            made.array(item)[...] = begins
    return sources


def input_tensor(
    spec: TensorInput, placement: Placement, blob: Any, tensors: TensorLibrary, *, in_chunks: bool = False
) -> InputTensor:
    """Make the tensor of one input over all rows of a blob.

    Parameters
    ----------
    spec
        Of the input.
    placement
        Of its collection in the blob.
    blob
        Its bytes where the model runs: uint8, shape `(blob_bytes,)`.
    tensors
        The library that makes it.
    in_chunks
        Whether the blob holds the rows of one chunk.
    """
    plan = plan_view(placement, spec.items)
    return InputTensor(spec, blob, plan, tensors.view(blob, plan), in_chunks)


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """One output over all its rows: a view of the blob that the job writes."""

    spec: TensorOutput
    tensor: Any

    def check_dtype(self, result: Tensor) -> None:
        """Check that a result of this dtype can be stored without losing more than a float's precision.

        Raises
        ------
        ModelError
            If the result is floating and the items are not: a cast would cut or wrap its values.
        """
        if result.is_floating_point() and not self.tensor.is_floating_point():
            stored, returned = dtype_name(self.tensor), dtype_name(result)
            raise ModelError(
                f"output '{self.spec.name}' is {returned}, and its items are {stored}, which cannot hold it: "
                f"declare the items as float32, or return {stored} from the model"
            )

    def may_exceed(self, result: Tensor) -> bool:
        """Tell whether a result has integers of a dtype that holds more than the items' own does."""
        stored, returned = dtype_name(self.tensor), dtype_name(result)
        if self.tensor.is_floating_point() or returned in (stored, "bool") or not result.numel():
            return False
        lowest, highest = dtype_limits(stored)
        least, greatest = dtype_limits(returned)
        return least < lowest or highest < greatest

    def check_range(self, least: int, greatest: int) -> None:
        """Check that the items' dtype can hold integers of a range.

        Raises
        ------
        ModelError
            If it cannot: a cast would wrap them.
        """
        stored = dtype_name(self.tensor)
        lowest, highest = dtype_limits(stored)
        if least < lowest or greatest > highest:
            wrong = least if least < lowest else greatest
            raise ModelError(
                f"output '{self.spec.name}' has the value {wrong}, and its items are {stored}, which hold "
                f"{lowest} to {highest}: declare the items in a wider dtype"
            )


class Outputs:
    """The output tensors of a job, over a blob of predictions.

    Parameters
    ----------
    signature
        Of the model.
    placement
        Of the predictions in the blob.
    blob
        Its bytes where the model runs: uint8, shape `(blob_bytes,)`.
    tensors
        The library that makes them.
    """

    def __init__(self, signature: Signature, placement: Placement, blob: Any, tensors: TensorLibrary) -> None:
        self._signature = signature
        self._tensors = tensors
        self._outputs = [
            OutputTensor(spec, tensors.view(blob, plan_view(placement, spec.items)))
            for spec in signature.outputs
        ]

    @classmethod
    def mapped(cls, signature: Signature, blob: MappedBlob, tensors: TensorLibrary) -> Self:
        """Make the output tensors over a mapped blob itself, so that writes reach its file."""
        return cls(signature, blob.placement, tensors.blob_tensor(blob), tensors)

    def rows(self, begin: int, end: int) -> list[Any]:
        """Return the views of the rows from `begin` to before `end`, for a model that stores them itself."""
        return [output.tensor.narrow(0, begin, end - begin) for output in self._outputs]

    def check(self, results: Sequence[Tensor], rows: int) -> None:
        """Check what the model returned for a number of rows.

        Raises
        ------
        ModelError
            If the number of tensors or a shape is not the signature's, or floating results are to be
            written to items of integers or bools.
        """
        check_outputs(self._signature, rows, results)
        for output, result in zip(self._outputs, results, strict=True):
            output.check_dtype(result)

    def write(self, results: Sequence[Tensor], begin: int, end: int) -> None:
        """Write a batch's outputs to its rows, cast to the items' dtypes.

        This is the one copy of a job on the CPU: from the model's memory to the file's.

        Raises
        ------
        ModelError
            As `check` and `look_at_range`.
        """
        self.check(results, end - begin)
        for output, result in zip(self._outputs, results, strict=True):
            if output.may_exceed(result):
                self.look_at_range(output, result)
            output.tensor.narrow(0, begin, end - begin).copy_(result)

    def look_at_range(self, output: OutputTensor, result: Tensor) -> None:
        """Check that the items can hold the integers of a result.

        Raises
        ------
        ModelError
            If they cannot hold one.
        """
        output.check_range(*self._tensors.integer_range(result))
