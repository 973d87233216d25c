"""Models by import path, built the same from the same seed.

>>> model = build_model("soaflow.models.simple_net:SimpleNet", {}, seed=1)
>>> sum(parameter.numel() for parameter in model.parameters())
37441
"""

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from soaflow.errors import ModelError


def build_model(class_path: str, arguments: Mapping[str, Any], seed: int) -> nn.Module:
    """Import a model's class and make the model, ready to predict (`eval`).

    Parameters
    ----------
    class_path
        `package.module:Class` or `path/to/file.py:Class`.
    arguments
        Keyword arguments of the class.
    seed
        Of the initial weights. Torch's random state is afterwards what it was before.

    Raises
    ------
    ModelError
        If the module or file cannot be imported, the class is not in it or is not a `torch.nn.Module`,
        or the class does not take the arguments.
    """
    model_class = _model_class(class_path)
    try:
        inspect.signature(model_class).bind(**arguments)
    except TypeError as error:
        raise ModelError(
            f"{class_path} does not take the arguments ({', '.join(arguments) or 'none'}): {error}"
        ) from error
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            return model_class(**arguments).eval()
        except (Exception, SystemExit) as error:
            raise ModelError(
                f"{class_path} cannot be built with the arguments {dict(arguments)}: {_reason(error)}"
            ) from error


def _model_class(class_path: str) -> type[nn.Module]:
    module_name, separator, class_name = class_path.rpartition(":")
    if not separator or not module_name or not class_name:
        raise ModelError(
            f"model class '{class_path}' is not of the form package.module:Class or path/to/file.py:Class"
        )
    module = _module_of_file(Path(module_name)) if module_name.endswith(".py") else _module(module_name)
    model_class = getattr(module, class_name, None)
    if model_class is None:
        raise ModelError(f"{module_name} has no class '{class_name}': check the name in '{class_path}'")
    if not (isinstance(model_class, type) and issubclass(model_class, nn.Module)):
        raise ModelError(f"'{class_path}' is not a torch.nn.Module: name a class that derives from it")
    return model_class


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ModelError(
                f"there is no module '{name}': install it, or name a file as path/to/file.py:Class"
            ) from error
        raise ModelError(f"module '{name}' cannot be imported: {_reason(error)}") from error
    except (Exception, SystemExit) as error:
        raise ModelError(f"module '{name}' cannot be imported: {_reason(error)}") from error


def _module_of_file(path: Path) -> ModuleType:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}; name an existing Python file") from error
    # Named by its content: two files of one name do not mix, and TorchScript, which stores the names
    # of modules, stores the same one wherever the file lies.
    name = f"{path.stem}_{hashlib.sha256(content).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # where TorchScript and pickle look for the source of a class
    if str(path.parent.resolve()) not in sys.path:
        sys.path.append(str(path.parent.resolve()))  # so that the file can import its neighbours
    try:
        specification.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ModelError(f"{path} cannot be imported: {_reason(error)}") from error
    return module


def _reason(error: BaseException) -> str:
    """Return an exception as one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
