"""The input and output tensors of a job, made once over all rows and sliced for each batch.

The invariant: every input tensor is a view of a mapped blob, or of the blob on the device; the one
exception, the collection of batch beginnings, is made by the job and counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from soaflow.errors import ModelError, StorageError
from soaflow.infer.devices import Place
from soaflow.soa.batches import batch_ranges
from soaflow.soa.calls import check_outputs
from soaflow.soa.layout import Layout
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
    """

    spec: TensorInput
    blob: Any
    plan: ViewPlan
    tensor: Any

    def batch(self, index: int, begin: int, end: int) -> Any:
        """Return the rows that a call sees, as a view.

        Parameters
        ----------
        index
            Number of the batch.
        begin, end
            Its rows.
        """
        if self.spec.rows is RowRange.WHOLE:
            return self.tensor
        if self.spec.rows is RowRange.BATCH_BEGIN:
            return self.tensor.narrow(0, index, 1)
        return self.tensor.narrow(0, begin, end - begin)


def input_tensors(
    signature: Signature, blobs: Mapping[str, MappedBlob], batch_size: int, place: Place
) -> tuple[InputTensor, ...]:
    """Make all input tensors of a job.

    Parameters
    ----------
    signature
        Whose layouts are those of the blobs.
    blobs
        Mapped, by collection.
    batch_size
        Rows of a batch; 0 for all in one.
    place
        Where the model runs, with the library of its tensors; each blob is brought there once.
    """
    tensors = place.tensors
    brought = {name: place.bring_in(tensors.blob_tensor(blob)) for name, blob in blobs.items()}
    rows = blobs[signature.sliced_collection].placement.rows
    made: list[InputTensor] = []
    for spec in signature.inputs:
        if spec.rows is RowRange.BATCH_BEGIN:
            made.append(_batch_beginnings(spec, rows, batch_size, place))
        else:
            plan = plan_view(blobs[spec.collection].placement, spec.items)
            blob = brought[spec.collection]
            made.append(InputTensor(spec, blob, plan, tensors.view(blob, plan)))
    return tuple(made)


def _batch_beginnings(spec: TensorInput, rows: int, batch_size: int, place: Place) -> InputTensor:
    begins = [begin for begin, _ in batch_ranges(rows, batch_size)]
    blob = blob_in_memory(BATCH_BEGIN_LAYOUT.place(len(begins)))
    plan = plan_view(blob.placement, spec.items)
    (item,) = spec.items
    blob.array(item)[...] = begins
    brought = place.bring_in(place.tensors.blob_tensor(blob))
    return InputTensor(spec, brought, plan, place.tensors.view(brought, plan))


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

    def check_range(self, result: Tensor, tensors: TensorLibrary) -> None:
        """Check that the items' dtype can hold every value of an integer result.

        Parameters
        ----------
        result
            That is to be stored.
        tensors
            That made it.

        Raises
        ------
        ModelError
            If a value is out of range: a cast would wrap it.
        """
        stored, returned = dtype_name(self.tensor), dtype_name(result)
        if self.tensor.is_floating_point() or returned in (stored, "bool"):
            return
        lowest, highest = dtype_limits(stored)
        least, greatest = dtype_limits(returned)
        if (lowest <= least and greatest <= highest) or not result.numel():
            return
        least, greatest = tensors.integer_range(result)
        if least < lowest or greatest > highest:
            wrong = least if least < lowest else greatest
            raise ModelError(
                f"output '{self.spec.name}' has the value {wrong}, and its items are {stored}, which hold "
                f"{lowest} to {highest}: declare the items in a wider dtype"
            )


class Outputs:
    """The output tensors of a job, over a mapped predictions blob.

    Parameters
    ----------
    signature
        Of the model.
    mapped
        The predictions' blob, mapped so that writes reach the file.
    place
        Where the model runs.
    """

    def __init__(self, signature: Signature, mapped: MappedBlob, place: Place) -> None:
        self._signature = signature
        self._place = place
        self._mapped = place.tensors.blob_tensor(mapped)
        self._blob = place.output_for(self._mapped)
        self._outputs = [
            OutputTensor(spec, place.tensors.view(self._blob, plan_view(mapped.placement, spec.items)))
            for spec in signature.outputs
        ]

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
            As `check`, and if an integer is out of the range of its item's dtype.
        """
        self.check(results, end - begin)
        for output, result in zip(self._outputs, results, strict=True):
            output.check_range(result, self._place.tensors)
            output.tensor.narrow(0, begin, end - begin).copy_(result)

    def finish(self) -> None:
        """Bring the outputs into the file, in one transfer, if they are on a device."""
        if self._blob is not self._mapped:
            self._place.take_out(self._blob, self._mapped)
