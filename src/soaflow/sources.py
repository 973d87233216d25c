"""What a Python file says of itself: a digest of its code, and the modules that it imports.

The invariant: both follow from the file's bytes alone, as long as this module and Python are the same. So
they are kept for the user under the digest of those bytes, and a file is analysed once, however often
Snakemake and the jobs that it starts ask for it.

>>> from soaflow.cache import Cache
>>> source = Sources(Cache(None)).read(Path(__file__))
>>> (0, "soaflow.cache.Cache") in source.imports
True
"""

import ast
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soaflow.cache import Cache, cache_key
from soaflow.errors import ConfigError

MOST = 4096
"""Files of which facts are kept; beyond that, only those that were asked for last."""


@dataclass(frozen=True, slots=True)
class Source:
    """What one file says.

    Parameters
    ----------
    code
        SHA-256 (hex) of its syntax tree: comments, docstrings and formatting do not count.
    imports
        Level (number of leading dots) and dotted name of whatever may be an imported module, once each.
    """

    code: str
    imports: tuple[tuple[int, str], ...]


@dataclass(slots=True)
class Sources:
    """Reads Python files, and keeps what they say.

    Parameters
    ----------
    cache
        Where that outlives this process.
    """

    cache: Cache
    _known: dict[str, Source] = field(init=False)
    _asked_for: set[str] = field(init=False, default_factory=set)
    _kept: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        self._known = _decoded(self.cache.find(_analysis_key()))

    def read(self, path: Path) -> Source:
        """Return what a file says.

        Raises
        ------
        ConfigError
            If it cannot be read, or is not Python.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be read: {error.strerror}; name a readable Python file"
            ) from error
        key = hashlib.sha256(content).hexdigest()
        self._asked_for.add(key)
        if key not in self._known:
            self._known[key] = _analysed(content, path)
            self._kept = False
        return self._known[key]

    def keep(self) -> None:
        """Keep what was found out since the last time for processes to come; if that fails, do so once."""
        if self._kept:
            return
        if len(self._known) > MOST:
            self._known = {key: self._known[key] for key in self._asked_for}
        if not self.cache.keep(_analysis_key(), _encoded(self._known)):
            self.cache = Cache(None)
        self._kept = True


def _analysis_key() -> str:
    """Return what the facts depend on beside the file: how they are found, and what Python's grammar is."""
    return cache_key(
        {"analysis": hashlib.sha256(Path(__file__).read_bytes()).hexdigest(), "python": sys.version}
    )


def _encoded(known: dict[str, Source]) -> bytes:
    return json.dumps({key: [source.code, source.imports] for key, source in known.items()}).encode()


def _decoded(content: bytes | None) -> dict[str, Source]:
    entries: dict[str, Any] = json.loads(content or b"{}")
    return {
        key: Source(code, tuple((level, name) for level, name in imports))
        for key, (code, imports) in entries.items()
    }


def _analysed(content: bytes, path: Path) -> Source:
    try:
        tree = ast.parse(content, filename=str(path))
        imports = tuple(dict.fromkeys(_prepared(tree)))
        return Source(hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imports)
    except SyntaxError as error:
        where = f" in line {error.lineno}" if error.lineno else ""
        raise ConfigError(f"{path} is not valid Python{where}: {error.msg}; correct the file") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid Python: {error}; correct the file") from error


def _prepared(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Take the docstrings out of a tree, and yield what it imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            for name in (module, *(f"{module}.{alias.name}".lstrip(".") for alias in node.names)):
                if name:
                    yield node.level, name
        elif (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            del node.body[0]
