"""Frozen dataclasses to JSON and strictly back, and files of them.

The invariant: `from_json(cls, to_json(record))` equals the record, and anything that does not have
exactly the fields and types of the class is refused with the place where it differs.

Properties that a class names in `derived` are written too, for whoever reads the file without this
library; read back, they must be what the fields give.

>>> from dataclasses import dataclass
>>> from typing import ClassVar
>>> @dataclass(frozen=True)
... class Point:
...     row: int
...     values: tuple[float, ...]
>>> from_json(Point, {"row": 3, "values": [1, 2.5]}, "point")
Point(row=3, values=(1.0, 2.5))
>>> @dataclass(frozen=True)
... class Judged:
...     derived: ClassVar[tuple[str, ...]] = ("passed",)
...     failures: int
...
...     @property
...     def passed(self):
...         return self.failures == 0
>>> to_json(Judged(failures=2))
{'failures': 2, 'passed': False}
>>> from_json(Judged, {"failures": 2, "passed": True}, "judged")
Traceback (most recent call last):
ValueError: judged.passed is true, which contradicts the figures
>>> from_json(Point, {"row": "3", "values": []}, "point")
Traceback (most recent call last):
TypeError: point.row is '3', not int
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from soaflow.errors import StorageError
from soaflow.files import read_json


def to_json(record: Any) -> Any:
    """Return a dataclass, and the dataclasses, tuples and mappings inside it, as JSON values."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        names = (*(field.name for field in dataclasses.fields(record)), *_derived(type(record)))
        return {name: to_json(getattr(record, name)) for name in names}
    if isinstance(record, Mapping):
        return {key: to_json(value) for key, value in record.items()}
    if isinstance(record, tuple):
        return [to_json(value) for value in record]
    return record


def _derived(cls: Any) -> tuple[str, ...]:
    names: tuple[str, ...] = getattr(cls, "derived", ())
    return names


_Record = TypeVar("_Record")


def from_json(cls: type[_Record], value: Any, where: str) -> _Record:
    """Make a dataclass from JSON values.

    Parameters
    ----------
    cls
        A dataclass of int, float, str, bool, tuples, dataclasses, mappings by text, any of these or None, and
        `Any` for values that are taken as they are.
    value
        As `json.loads` gives it.
    where
        Name of the place, for the error.

    Raises
    ------
    TypeError
        If a value is of another type, or a number is not finite.
    ValueError
        If a field or derived value is missing or unknown, a derived one is not what the fields give, or
        the class refuses a value.
    """
    made: _Record = _decode(cls, value, where)
    return made


def read_record(cls: type[_Record], path: Path | str, *, kind: str, version: int, remedy: str) -> _Record:
    """Read a dataclass from its JSON file.

    Parameters
    ----------
    cls
        As in `from_json`.
    path
        The file.
    kind
        What it holds in a word; the key that gives the version is `{kind}_version`.
    version
        That is read.
    remedy
        What mends a wrong file, for messages.

    Raises
    ------
    StorageError
        If the file is missing, of another kind or version, has a missing, unknown or wrong key, or
        contradicts itself.
    """
    read = read_json(path)
    found = read.get(f"{kind}_version") if isinstance(read, dict) else None
    if found != version:
        raise StorageError(
            f"{path} is not a {kind} that this soaflow reads, as its {kind}_version is {found!r} and not "
            f"{version}: {remedy}"
        )
    try:
        return from_json(cls, read, kind)
    except (TypeError, ValueError) as error:
        raise StorageError(f"{path} is not a {kind}: {error}; {remedy}") from error


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
    if origin is dict:
        return _decode_mapping(arguments[1], value, where)
    return _decode_plain(kind, value, where)


def _decode_plain(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if type(value) is not kind or kind is float:
        raise TypeError(f"{where} is {value!r}, not {kind.__name__}")
    return value


def _decode_record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"{where} is {value!r}, not a mapping")
    names = [field.name for field in dataclasses.fields(kind)]
    known = (*names, *_derived(kind))
    if unknown := sorted(set(value) - set(known)):
        raise ValueError(f"{where} has the unknown key '{unknown[0]}'")
    if missing := [name for name in known if name not in value]:
        raise ValueError(f"{where} has no key '{missing[0]}'")
    hints = typing.get_type_hints(kind)
    record = kind(**{name: _decode(hints[name], value[name], f"{where}.{name}") for name in names})
    for name in _derived(kind):
        if to_json(getattr(record, name)) != value[name]:
            claimed = json.dumps(value[name])
            raise ValueError(f"{where}.{name} is {claimed}, which contradicts the figures")
    return record


def _decode_mapping(kind: Any, value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{where} is {value!r}, not a mapping")
    return {key: _decode(kind, entry, f"{where}.{key}") for key, entry in value.items()}


def _decode_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{where} is {value!r}, not a list")
    kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
    if len(kinds) != len(value):
        raise ValueError(f"{where} has {len(value)} entries, not {len(kinds)}")
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_decode(kind, entry, f"{where}[{i}]") for i, (kind, entry) in pairs)
