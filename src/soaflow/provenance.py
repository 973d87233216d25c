"""A digest of the code that a result depends on.

A module counts with everything of this package that it imports, however far down. Comments,
docstrings, formatting and time stamps do not count, so a checkout or a better comment reruns
nothing, and an edit of a function reruns exactly what uses its module.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from soaflow.errors import ConfigError

_PACKAGE = "soaflow"
_SOURCE_ROOT = Path(__file__).parent.parent


def code_digest(*modules: str) -> str:
    """Return the SHA-256 (hex) of the code of modules and of what they import of this package.

    Parameters
    ----------
    modules
        Dotted names, such as `"soaflow.train.loop"`, or paths of Python files.

    Raises
    ------
    ConfigError
        If there is no such module or file, or it is not Python.
    """
    digest = hashlib.sha256()
    for path in sorted({path for module in modules for path in _dependencies(_source_file(module))}):
        digest.update(_code(path).encode())
    return digest.hexdigest()


def class_module(class_path: str) -> str:
    """Return the module or file part of `package.module:Class` or `path/to/file.py:Class`."""
    return class_path.rpartition(":")[0]


@cache
def _source_file(module: str) -> Path:
    if module.endswith(".py"):
        path = Path(module)
    elif module.partition(".")[0] == _PACKAGE:
        stem = _SOURCE_ROOT.joinpath(*module.split("."))
        path = stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")
    else:
        path = _installed_file(module)
    if not path.is_file():
        kind = "file" if module.endswith(".py") else "module"
        raise ConfigError(f"there is no {kind} '{module}': name an importable module or a .py file")
    return path


def _installed_file(module: str) -> Path:
    try:
        spec = importlib.util.find_spec(module)
    except ImportError:
        spec = None
    return Path(spec.origin) if spec and spec.origin else Path(module)


@cache
def _dependencies(path: Path) -> frozenset[Path]:
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting.extend(_imported_files(current))
    return frozenset(found)


def _imported_files(path: Path) -> Iterator[Path]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            stem = _SOURCE_ROOT.joinpath(*name.split("."))
            if name.partition(".")[0] == _PACKAGE and stem.with_suffix(".py").is_file():
                yield stem.with_suffix(".py")


@cache
def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        where = f" in line {error.lineno}" if error.lineno else ""
        raise ConfigError(f"{path} is not valid Python{where}: {error.msg}; correct the file") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid Python: {error}; correct the file") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; name a readable Python file") from error


@cache
def _code(path: Path) -> str:
    tree = _tree(path)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            del node.body[0]
    return ast.dump(tree)
