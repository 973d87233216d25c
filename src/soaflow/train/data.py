"""Events files as training data: views of the mapped files, cut into row ranges.

The invariant: a batch is a contiguous range of one file's rows and is never copied; what is shuffled
is the order of the batches. The validation rows of `soaflow.soa.split` are never trained on.

>>> epoch_ranges((10, 20), batch_size=4, generator=np.random.default_rng(1))
[(10, 13), (13, 17), (17, 20)]
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from soaflow.errors import TrainingError
from soaflow.soa.layout import Item
from soaflow.soa.signature import RowRange, Signature, TensorInput
from soaflow.soa.split import RowRanges, Split, split_collection
from soaflow.soa.storage import EVENTS, FileHeader, MappedBlob, map_blob, read_header
from soaflow.soa.tensors import blob_tensor, view
from soaflow.soa.views import plan_view
from soaflow.train.settings import Loss, Target, TrainingSettings

Tensors = tuple[torch.Tensor, ...]


def epoch_ranges(
    rows: tuple[int, int], batch_size: int, generator: np.random.Generator
) -> list[tuple[int, int]]:
    """Cut a range of rows into the batches of one epoch: each row once, only the first and last short.

    Parameters
    ----------
    rows
        First row and end.
    batch_size
        Rows of a full batch. All rows are one batch if there are no more than that.
    generator
        Draws where the first batch ends, which puts other rows together in each epoch. The first and
        last one have at least a quarter of `batch_size`, and their number is the smallest unless
        `batch_size` divides the rows.
    """
    begin, end = rows
    if end - begin <= batch_size:
        return [(begin, end)] if begin < end else []
    remainder = (end - begin) % batch_size
    shortest = max(remainder, -(-batch_size // 4))
    longest = max(shortest, min(batch_size, remainder + batch_size - shortest))
    first = int(generator.integers(shortest, longest, endpoint=True))
    return list(itertools.pairwise([begin, *range(begin + first, end, batch_size), end]))


@dataclass(frozen=True, slots=True)
class TrainingFile:
    """One events file, opened for training.

    Parameters
    ----------
    path
        The file.
    split
        Of the rows of the collection that the model predicts for.
    row_ranges
        Of each input.
    inputs
        All rows of each input, in its item's dtype; for `RowRange.BATCH_BEGIN` a placeholder.
    targets
        All rows of each target's item, in its dtype: `[rows, 1]`, or `[rows, ...]` of an eigen item.
    """

    path: Path
    split: Split
    row_ranges: tuple[RowRange, ...]
    inputs: Tensors
    targets: Tensors

    def batch(self, begin: int, end: int) -> tuple[Tensors, Tensors]:
        """Return the inputs of a call for rows `begin` to `end` and the targets of these rows, as views."""
        inputs = tuple(
            _batch_input(tensor, rows, begin, end)
            for tensor, rows in zip(self.inputs, self.row_ranges, strict=True)
        )
        return inputs, tuple(target[begin:end] for target in self.targets)


def open_training_file(path: Path | str, signature: Signature, settings: TrainingSettings) -> TrainingFile:
    """Map an events file and check that it can be trained on.

    Parameters
    ----------
    path
        The events file.
    signature
        Of the model.
    settings
        For the targets and the validation fraction; checked with `TrainingSettings.check`.

    Raises
    ------
    StorageError
        If the file is not an events file, lacks a collection, or is not sorted by event.
    TrainingError
        If a collection has another layout than the signature's, an input or target is NaN or
        infinite, or a target is out of the range of its loss.
    """
    header = read_header(path, EVENTS)
    blobs = {name: map_blob(header, name) for name in signature.collections}
    for spec in signature.inputs:
        _check_input(header, blobs, spec)
    sliced = blobs[signature.sliced_collection]
    for target in settings.targets:
        _check_target(header.path, sliced, target, signature)
    return TrainingFile(
        header.path,
        split_collection(header, signature.sliced_collection, settings.validation_fraction),
        tuple(spec.rows for spec in signature.inputs),
        tuple(_tensor(blobs, spec) for spec in signature.inputs),
        tuple(view(blob_tensor(sliced), plan_view(sliced.placement, (t.item,))) for t in settings.targets),
    )


def training_variance(files: Sequence[TrainingFile], target: int) -> float:
    """Return the variance of one target over the training rows of all files, in float64.

    Parameters
    ----------
    files
        All that are trained on.
    target
        Index into `TrainingFile.targets`.

    Returns
    -------
    float
        1 where there are no rows or all values are equal, so that one may always divide by it.
    """
    values = [file.targets[target][begin:end].numpy() for file in files for begin, end in file.split.training]
    count = sum(part.size for part in values)
    if not count:
        return 1.0
    mean = sum(float(part.sum(dtype=np.float64)) for part in values) / count
    squares = sum(float(np.square(np.subtract(part, mean, dtype=np.float64)).sum()) for part in values)
    return squares / count or 1.0


def one_sided_targets(files: Sequence[TrainingFile], targets: Sequence[Target]) -> list[str]:
    """Return a sentence for each entropy target that one side of the split has one class of.

    Parameters
    ----------
    files
        All that are trained on.
    targets
        Those of the settings, in the order of `TrainingFile.targets`.

    Returns
    -------
    list of str
        Empty if all is well, or if all rows of a target are of one class.
    """
    sentences = []
    for index, target in enumerate(targets):
        if target.loss is Loss.SQUARED_ERROR:
            continue
        training = _extremes(files, index, target.equals, lambda split: split.training)
        validation = _extremes(files, index, target.equals, lambda split: split.validation)
        if len(training | validation) > 1:
            sentences += [
                f"the {side} rows have one class only of item '{target.collection}/{target.item}', and the "
                "others have another: change validation_fraction, or mix the classes in the files"
                for side, extremes in (("training", training), ("validation", validation))
                if len(extremes) == 1
            ]
    return sentences


def _extremes(
    files: Sequence[TrainingFile],
    target: int,
    equals: float | None,
    side: Callable[[Split], RowRanges],
) -> set[float]:
    """Return the smallest and the largest truth of one side; of being equal to a value, if one is given."""
    found: set[float] = set()
    for file in files:
        for begin, end in side(file.split):
            values = file.targets[target][begin:end]
            truth = values if equals is None else values == equals
            found |= {float(truth.min()), float(truth.max())}
    return found


def _batch_input(tensor: torch.Tensor, rows: RowRange, begin: int, end: int) -> torch.Tensor:
    match rows:
        case RowRange.SLICED:
            return tensor[begin:end]
        case RowRange.WHOLE:
            return tensor
        case RowRange.BATCH_BEGIN:
            return torch.tensor([[begin]], dtype=torch.int32)


def _tensor(blobs: dict[str, MappedBlob], spec: TensorInput) -> torch.Tensor:
    if spec.rows is RowRange.BATCH_BEGIN:
        return torch.empty(0, dtype=torch.int32)
    blob = blobs[spec.collection]
    return view(blob_tensor(blob), plan_view(blob.placement, spec.items))


def _check_input(header: FileHeader, blobs: dict[str, MappedBlob], spec: TensorInput) -> None:
    if spec.rows is RowRange.BATCH_BEGIN:
        return
    blob = blobs[spec.collection]
    if blob.placement.layout.digest() != spec.layout.digest():
        raise TrainingError(
            f"{header.path}: collection '{spec.collection}' has another layout than the configuration "
            "says: make the events again"
        )
    for name in spec.items:
        _check_finite(header.path, spec.collection, blob, spec.layout[name])


def _check_target(path: Path, blob: MappedBlob, target: Target, signature: Signature) -> None:
    item = blob.placement.layout[target.item]
    _check_finite(path, target.collection, blob, item)
    values = blob.array(item.name)
    if not values.size or target.equals is not None or target.loss is Loss.SQUARED_ERROR:
        return
    lowest, highest = values.min().item(), values.max().item()
    last = 1
    if target.loss is Loss.CROSS_ENTROPY:
        output = next(output for output in signature.outputs if output.name == target.output)
        last = plan_view(signature.output_layout.place(1), output.items).sizes[1] - 1
    if lowest < 0 or highest > last:
        raise TrainingError(
            f"{path}: item '{target.collection}/{item.name}' has values from {lowest} to {highest}, and "
            f"{target.loss} of output '{target.output}' needs values from 0 to {last}: choose another item"
        )


def _check_finite(path: Path, collection: str, blob: MappedBlob, item: Item) -> None:
    values = blob.array(item.name)
    # The extremes carry every NaN and infinity and, unlike isfinite, need no memory of the data's size.
    if "float" not in item.dtype or not values.size or np.isfinite([values.min(), values.max()]).all():
        return
    bad = np.argwhere(~np.isfinite(values))[0]
    where = f" in row {bad[0]}" if bad.size else ""
    raise TrainingError(
        f"{path}: item '{collection}/{item.name}' is NaN or infinite{where}: select events without such "
        "values, or train on other items"
    )
