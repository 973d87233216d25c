"""Writes one shard of a dataset, from whichever source.

The invariant: the file appears whole or not at all, its bytes depend on the dataset's settings and
input files only, and no more than one chunk of rows is in memory.

>>> import tempfile
>>> from pathlib import Path
>>> from soaflow.events.datasets import ToyDataset
>>> from soaflow.soa.storage import read_header
>>> toy = ToyDataset("toy", seed=1, events=3, shards=1, collections=("particles",))
>>> with tempfile.TemporaryDirectory() as folder:
...     write_shard(toy, 0, Path(folder) / "0.h5")
...     read_header(Path(folder) / "0.h5").collections["events"].placement.rows
3
"""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from soaflow.errors import EventSourceError
from soaflow.events.datasets import Dataset, NanoaodDataset
from soaflow.events.plan import ShardPlan
from soaflow.events.toy import plan_toy
from soaflow.soa.storage import EVENTS, CollectionWriter, writing


def write_shard(dataset: Dataset, shard: int, path: Path | str) -> None:
    """Generate or read one shard and write it as a file of events.

    Parameters
    ----------
    dataset
        The settings.
    shard
        From 0 to `dataset.shards - 1`.
    path
        The file to write.

    Raises
    ------
    EventSourceError
        If there is no such shard, or the source cannot give what the settings ask for.
    OutputError
        If the file cannot be written.
    """
    if not 0 <= shard < dataset.shards:
        raise EventSourceError(
            f"dataset '{dataset.name}' has no shard {shard}: choose 0 to {dataset.shards - 1}"
        )
    with (
        _planned(dataset, shard) as plan,
        writing(path, EVENTS, plan.placements, plan.attributes) as writer,
    ):
        _write(plan, writer)


def _planned(dataset: Dataset, shard: int) -> AbstractContextManager[ShardPlan]:
    if isinstance(dataset, NanoaodDataset):
        # uproot and awkward take a second to import, and generated events do not need them.
        from soaflow.events.nanoaod import planned_nanoaod  # noqa: PLC0415

        return planned_nanoaod(dataset, shard)
    return nullcontext(plan_toy(dataset, shard))


def _write(plan: ShardPlan, writer: CollectionWriter) -> None:
    for collection, scalars in plan.scalars.items():
        for item, value in scalars.items():
            writer.write(collection, item, value)
    written = dict.fromkeys(plan.placements, 0)
    for chunk in plan.chunks:
        for collection, columns in chunk.items():
            for item, values in columns.items():
                writer.write(collection, item, values, written[collection])
            written[collection] += len(next(iter(columns.values())))
    planned = {name: placement.rows for name, placement in plan.placements.items()}
    if written != planned:
        raise RuntimeError(f"the source planned {planned} rows and gave {written}")
