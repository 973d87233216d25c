"""A digest of the code that a result depends on.

A file counts with everything that it imports, however far down: of this package, of its neighbours and
of the user's own packages; installed distributions count by their version. Comments, docstrings,
formatting and time stamps do not count, so a checkout or a better comment reruns nothing, and an edit
of a function reruns exactly what uses its file.
"""

import hashlib
import importlib.metadata
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from soaflow.cache import Cache
from soaflow.errors import ConfigError
from soaflow.sources import Source, Sources

_PACKAGE = "soaflow"
_SOURCE_ROOT = Path(__file__).parent.parent
_INSTALLED = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib"))
_DISTRIBUTIONS = {"sklearn": "scikit-learn", "yaml": "pyyaml"}


def code_digest(*modules: str) -> str:
    """Return the SHA-256 (hex) of the code of modules and of what they import.

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
    paths = {path for module in modules for path in _dependencies(_source_file(module))}
    for code in sorted(_source(path).code for path in paths):
        digest.update(code.encode())
    for name, version in _versions(paths).items():
        digest.update(f"{name} {version}".encode())
    _sources().keep()
    return digest.hexdigest()


def code_distributions(*modules: str) -> dict[str, str]:
    """Return the versions, by name, of the installed distributions that `code_digest` counts.

    Parameters
    ----------
    modules
        As of `code_digest`.

    Raises
    ------
    ConfigError
        As `code_digest`.
    """
    return _versions({path for module in modules for path in _dependencies(_source_file(module))})


def _versions(paths: Iterable[Path]) -> dict[str, str]:
    names = sorted({name for path in paths for name in _imported_distributions(path)})
    return {name: version for name in names if (version := _version(name)) is not None}


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
def _sources() -> Sources:
    return Sources(Cache.of_this_user("sources"))


@cache
def _source(path: Path) -> Source:
    return _sources().read(path)


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


@cache
def _imported_files(path: Path) -> frozenset[Path]:
    found = (_module_file(folder, name) for folder, name in _imports(path) if folder is not None)
    return frozenset(file for file in found if file is not None)


@cache
def _imported_distributions(path: Path) -> frozenset[str]:
    tops = {name.partition(".")[0] for folder, name in _imports(path) if folder is None}
    named = {_DISTRIBUTIONS.get(top, top) for top in tops - sys.stdlib_module_names}
    return frozenset(name for name in named if _version(name) is not None)


@cache
def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _imports(path: Path) -> Iterator[tuple[Path | None, str]]:
    """Yield the folder in which an imported module is to be found, if its code counts, and its name."""
    for level, name in _source(path).imports:
        yield (path.parents[level - 1] if level else _root(name, path)), name


def _root(name: str, importer: Path) -> Path | None:
    """Return the folder that holds a top-level module, or None for an installed one."""
    top = name.partition(".")[0]
    if top == _PACKAGE:
        return _SOURCE_ROOT
    if not importer.is_relative_to(_SOURCE_ROOT):
        neighbour = importer.parent / top
        if neighbour.is_dir() or neighbour.with_suffix(".py").is_file():
            return importer.parent
    return _folder_on_path(top)


@cache
def _folder_on_path(top: str) -> Path | None:
    if top in sys.stdlib_module_names:
        return None
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin)
    if any(origin.is_relative_to(folder) for folder in _INSTALLED):
        return None
    return origin.parent.parent if spec.submodule_search_locations else origin.parent


@cache
def _module_file(folder: Path, name: str) -> Path | None:
    stem = folder.joinpath(*name.split("."))
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)
