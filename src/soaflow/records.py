"""Frozen dataclasses to JSON and strictly back, and files of them.

The invariant: `from_json(cls, to_json(record))` equals the record, and anything that does not have
exactly the fields and types of the class is refused with the place where it differs.

>>> from dataclasses import dataclass
>>> @dataclass(frozen=True)
... class Point:
...     row: int
...     values: tuple[float, ...]
>>> from_json(Point, {"row": 3, "values": [1, 2.5]}, "point")
Point(row=3, values=(1.0, 2.5))
>>> from_json(Point, {"row": "3", "values": []}, "point")
Traceback (most recent call last):
TypeError: point.row is '3', not int
"""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from soaflow.errors import StorageError
from soaflow.files import read_json, write_json


def to_json(record: Any) -> Any:
    """Return a dataclass, and the dataclasses, tuples and mappings inside it, as JSON values."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {field.name: to_json(getattr(record, field.name)) for field in dataclasses.fields(record)}
    if isinstance(record, Mapping):
        return {key: to_json(value) for key, value in record.items()}
    if isinstance(record, tuple):
        return [to_json(value) for value in record]
    return record


_Record = TypeVar("_Record")


def from_json(cls: type[_Record], value: Any, where: str) -> _Record:
    """Make a dataclass from JSON values.

    Parameters
    ----------
    cls
        A dataclass of int, float, str, bool, tuples, dataclasses, and any of these or None.
    value
        As `json.loads` gives it.
    where
        Name of the place, for the error.

    Raises
    ------
    TypeError
        If a value is of another type, or a number is not finite.
    ValueError
        If a field is missing or unknown, or the class refuses a value.
    """
    made: _Record = _decode(cls, value, where)
    return made


def write_record(path: Path | str, record: Any, *, version: int) -> None:
    """Write a dataclass as JSON, with the version of its keys as `schema_version`.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    write_json(path, {"schema_version": version, **to_json(record)})


def read_record(path: Path | str, cls: type[_Record], *, version: int, what: str) -> _Record:
    """Read a dataclass that `write_record` wrote.

    Parameters
    ----------
    path
        The file.
    cls
        As in `from_json`.
    version
        That this soaflow reads.
    what
        A noun for what the file should hold, for the error.

    Raises
    ------
    StorageError
        If the file is missing, is of another version, or has a missing, unknown or wrong key.
    """
    read = read_json(path)
    found = read.pop("schema_version", None) if isinstance(read, dict) else None
    if found != version:
        raise StorageError(
            f"{path} is not {what} that this soaflow reads: its schema_version is {found!r}, not {version}; "
            "make it again"
        )
    try:
        return from_json(cls, read, what.rsplit(maxsplit=1)[-1])
    except (TypeError, ValueError) as error:
        raise StorageError(f"{path} is not {what}: {error}; make it again") from error


def _decode(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _decode_record(kind, value, where)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _decode(next(a for a in arguments if a is not type(None)), value, where)
    if origin is tuple:
        return _decode_tuple(arguments, value, where)
    return _decode_plain(kind, value, where)


def _decode_plain(kind: Any, value: Any, where: str) -> Any:
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if type(value) is not kind or kind is float:
        raise TypeError(f"{where} is {value!r}, not {kind.__name__}")
    return value


def _decode_record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"{where} is {value!r}, not a mapping")
    names = [field.name for field in dataclasses.fields(kind)]
    if unknown := sorted(set(value) - set(names)):
        raise ValueError(f"{where} has the unknown key '{unknown[0]}'")
    if missing := [name for name in names if name not in value]:
        raise ValueError(f"{where} has no key '{missing[0]}'")
    hints = typing.get_type_hints(kind)
    return kind(**{name: _decode(hints[name], value[name], f"{where}.{name}") for name in names})


def _decode_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{where} is {value!r}, not a list")
    kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
    if len(kinds) != len(value):
        raise ValueError(f"{where} has {len(value)} entries, not {len(kinds)}")
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_decode(kind, entry, f"{where}[{i}]") for i, (kind, entry) in pairs)
