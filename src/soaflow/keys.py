"""Errors of the configuration that name the key, so that every part of it is refused in the same words.

>>> known("models.Net.variants", "jti", ("eager", "jit"))
Traceback (most recent call last):
soaflow.errors.ConfigError: configuration: key 'models.Net.variants' names 'jti', which is not there: \
choose one of eager, jit
"""

from collections.abc import Collection
from typing import Any

from soaflow.errors import ConfigError, SoaflowError


def named(key: str, make: Any, *arguments: Any, **keywords: Any) -> Any:
    """Return what a function makes of a key's value.

    Raises
    ------
    ConfigError
        If it raises an error of soaflow; the key stands in front.
    """
    try:
        return make(*arguments, **keywords)
    except SoaflowError as error:
        raise ConfigError(f"configuration: key '{key}': {error}") from error


def known(key: str, name: str, names: Collection[str]) -> str:
    """Return a name that a key gives, if it is one of those that there are.

    Raises
    ------
    ConfigError
        If it is not.
    """
    if name not in names:
        raise ConfigError(
            f"configuration: key '{key}' names '{name}', which is not there: choose one of {', '.join(names)}"
        )
    return name
