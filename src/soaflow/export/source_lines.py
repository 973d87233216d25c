"""The source line of each operation of a program, named so that it is the same on every machine.

The invariant: a location names a file as its package does, such as `soaflow/models/simple_net.py:34`, or by
its base name where it is in no package, never by a folder of this machine. It is kept in the metadata that
torch.export saves (`custom`); torch's own stack traces, which name whole paths, are not.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import fx

SOURCE_LINE = "source_line"
"""Key of the location in the metadata `custom` of a node."""

_FRAME = re.compile(r'^\s*File "(?P<file>[^"<>]+)", line (?P<line>\d+), in ', re.MULTILINE)
_LOCATION = re.compile(r"[\w.+/-]+:\d+", re.ASCII)
_TORCH = Path(torch.__file__).parent


def keep_source_lines(nodes: Iterable[fx.Node]) -> None:
    """Replace the stack trace of each node by the location of the innermost line that is not torch's.

    Parameters
    ----------
    nodes
        Of an exported program; their metadata is changed.
    """
    for node in nodes:
        location = location_of(node.meta.pop("stack_trace", None) or "")
        if location:
            node.meta["custom"] = {**node.meta.get("custom", {}), SOURCE_LINE: location}


def source_line(node: fx.Node) -> str:
    """Return the location that `keep_source_lines` kept; nothing where there is none."""
    kept = node.meta.get("custom", {}).get(SOURCE_LINE)
    return kept if isinstance(kept, str) and _LOCATION.fullmatch(kept) else ""


def location_of(stack_trace: str) -> str:
    """Return the innermost line of a stack trace that is not torch's own.

    Parameters
    ----------
    stack_trace
        As Python prints it, outermost frame first.

    Examples
    --------
    >>> location_of('  File "/somewhere/my_models/muon_net.py", line 12, in forward')
    'muon_net.py:12'
    >>> location_of('  File "<string>", line 1, in <module>')
    ''
    """
    for frame in reversed(list(_FRAME.finditer(stack_trace))):
        file = Path(frame["file"])
        # Of its own passes torch names the file from its package on, and not by its folder.
        if not file.is_relative_to(_TORCH) and file.parts[0] != _TORCH.name:
            return f"{_name_in_package(file)}:{frame['line']}"
    return ""


def _name_in_package(file: Path) -> str:
    package = file.parent
    while (package / "__init__.py").is_file():
        package = package.parent
    return file.relative_to(package).as_posix()
