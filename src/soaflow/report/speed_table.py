"""How fast each variant of a model is and what energy it takes, by the rows of a call, as a table."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from soaflow.files import write_text
from soaflow.report.speeds import Speeds, read_speeds

COLUMNS = (
    *("variant", "device", "rows", "seconds_per_call", "rows_per_second", "stable"),
    *("cpu_joules_per_row", "gpu_joules_per_row"),
)
"""Of the table. Energy is that of the whole device, idle parts too, and empty where no counter tells it."""


def write_speed_table(speed: Path | str, table: Path | str) -> None:
    """Write a measurement of speed as a table with tabs.

    Parameters
    ----------
    speed
        JSON that `soaflow.infer.speed` wrote.
    table
        The file to write.

    Raises
    ------
    StorageError
        If the file is not such a measurement.
    OutputError
        If the table cannot be written.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_lines(read_speeds(speed)))
    write_text(table, stream.getvalue())


def _lines(speeds: Speeds) -> Iterator[tuple[Any, ...]]:
    for rows, by_variant in speeds.times.items():
        for name, times in by_variant.items():
            yield (
                *(name, speeds.devices[name], rows, f"{times.median:.6g}", f"{rows / times.median:.6g}"),
                *(int(times.stable), _joules(speeds, rows, name, "cpu"), _joules(speeds, rows, name, "gpu")),
            )


def _joules(speeds: Speeds, rows: int, name: str, device: str) -> str:
    found = speeds.energy[rows].get(name, {})
    joules = found.get(f"{device}_joules")
    return "" if joules is None else f"{joules / (found['calls'] * rows):.6g}"
