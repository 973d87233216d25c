"""Reads the JSON and tables that other stages wrote, as plain values.

The report knows the keys it shows and nothing else of those files, because no stage imports another.
A file without such a key is refused with its name.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from soaflow.errors import StorageError
from soaflow.files import read_json


def read_documents(paths: Sequence[Path | str]) -> list[dict[str, Any]]:
    """Read JSON files, each a mapping.

    Raises
    ------
    StorageError
        If a file is not there, is not JSON or is not a mapping.
    """
    documents = []
    for path in paths:
        document = read_json(path)
        if not isinstance(document, dict):
            raise StorageError(f"{path} is not a JSON mapping: make it again")
        documents.append(document)
    return documents


def read_table(path: Path | str, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read a tab-separated table with a heading.

    Raises
    ------
    StorageError
        If the file is not there, its columns are others, or a line lacks cells.
    """
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            lines = list(csv.reader(stream, delimiter="\t", strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise StorageError(f"{path} cannot be read as a table: {error}") from error
    heading = lines[0] if lines else []
    if heading != list(columns):
        found = ", ".join(heading) or "none"
        raise StorageError(f"{path} has the columns {found}, not {', '.join(columns)}: make it again")
    if wrong := [number for number, line in enumerate(lines, 1) if len(line) != len(columns)]:
        raise StorageError(f"{path} has another number of cells in line {wrong[0]}: make it again")
    return [dict(zip(columns, line, strict=True)) for line in lines[1:]]


def variants_of(documents: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the variants that verdicts are of, in their order, each once."""
    return list(dict.fromkeys(str(document["variant"]) for document in documents))


def units_of_outputs(documents: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the unit of each output that verdicts are about, by its item, in their order."""
    return {entry["item"]: entry["unit"] for document in documents for entry in document["outputs"]}


def outputs_of(documents: Iterable[Mapping[str, Any]], variant: str, item: str) -> list[dict[str, Any]]:
    """Return what the verdicts of all datasets say of an output of a variant."""
    return [
        entry
        for document in documents
        for entry in document["outputs"]
        if (document["variant"], entry["item"]) == (variant, item)
    ]


@contextmanager
def described_by(paths: Sequence[Path | str]) -> Iterator[None]:
    """Turn a missing key or a value of another type in the block into an error that names the files.

    Raises
    ------
    StorageError
        If the block raises KeyError, TypeError or ValueError.
    """
    try:
        yield
    except StorageError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        names = ", ".join(str(path) for path in paths[:3]) + (", ..." if len(paths) > 3 else "")
        raise StorageError(
            f"one of {names} lacks a key or has a wrong value ({error!r}): "
            "remove it and run the workflow again"
        ) from error
