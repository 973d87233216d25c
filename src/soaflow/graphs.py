"""The JSON parts of programs and artifacts, checked for what torch evaluates or calls when it runs them.

The invariant: a graph is accepted only if its operators are torch's own, its sizes are plain arithmetic
of symbols, and no tensor is a pickle. torch itself holds neither: it looks an operator up attribute by
attribute from the module `torch`, from where `torch.os.system` is in reach, has sympy evaluate the text
of each size as Python, and unpickles tensors and objects where the configuration says so.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from soaflow.errors import ArtifactError

_ATEN = r"(?!from_file\b)(?:[a-z]\w*|_[a-z]\w*|__[a-z]+__)"
_OPERATOR = re.compile(
    rf"torch\.ops\.aten\.{_ATEN}\.[A-Za-z]\w*"
    r"|torch\.ops\.higher_order\.[a-z]\w*"
    r"|_operator\.(?:eq|ne|le|ge|lt|gt|neg|pos|mul|add|sub|floordiv|mod|pow|truediv|and_|or_|lshift|rshift)"
    r"|_operator\.getitem"
    r"|math\.(?:trunc|ceil|floor|sqrt)"
    r"|torch\.sym_(?:not|int|float|ite|max|min|sqrt|sum)",
    re.ASCII,
)
_CALLED = re.compile(rf"aten::{_ATEN}(?:\.[A-Za-z]\w*)?", re.ASCII)
_SIZE_TOKEN = re.compile(
    r"[A-Za-z]\w*|'[a-z]+\d+'|'-?\d+(?:\.\d+)?(?:e[-+]?\d+)?'|-?\d{1,30}(?!\d)|[(),= ]", re.ASCII
)
_SIZE_WORDS = """
    Symbol Integer Float Rational Add Mul Pow Max Min Abs Mod Eq Equality Ne Unequality Lt StrictLessThan
    Le LessThan Gt StrictGreaterThan Ge GreaterThan And Or Not Piecewise ExprCondPair ITE Tuple floor
    ceiling true false True False positive nonnegative nonzero integer real evaluate precision FloorDiv
    ModularIndexing Where PythonMod CleanDiv CeilToInt FloorToInt CeilDiv LShift RShift PowByNatural
    FloatPow FloatTrueDiv IntTrueDiv IsNonOverlappingAndDenseIndicator TruncToFloat TruncToInt RoundToInt
    RoundDecimal ToFloat Identity
    """
_SIZE_NAMES = frozenset(_SIZE_WORDS.split())
_GUARD_TOKEN = re.compile(
    r"(?:torch\.sym_|math\.)[a-z]+\b|\.(?:size|stride|storage_offset)\(\)|\['\w+'\]|[A-Za-z]\w*"
    r"|\d{1,30}(?!\d)(?:\.\d+)?|//|\[|\]|[-+*/%(),=<>! ]",
    re.ASCII,
)
_GUARD_NAMES = frozenset({"L", "not", "and", "or"})
_SYMBOL = re.compile(r"[a-z]+\d+", re.ASCII)


def check_graph(data: bytes, source: Path | str, member: str) -> None:
    """Check the graph of a program, its member `models/model.json`.

    Parameters
    ----------
    data
        The JSON.
    source, member
        The file and the member of it, named in errors.

    Raises
    ------
    ArtifactError
        If it is not JSON, calls what is no operator of torch, or has a size that is not arithmetic.
    """
    graph = _read(data, source, member)
    if not isinstance(graph, dict) or not isinstance(graph.get("graph_module"), dict):
        raise _refusal(source, member, "holds no graph")
    for mapping in _mappings(graph):
        for key, (word, fits) in _CHECKS.items():
            value = mapping.get(key)
            # A value of the graph may itself be called `target`; torch fails on an operator that is no text.
            if value is None or (key == "target" and not isinstance(value, str)):
                continue
            if not isinstance(value, str) or not fits(value):
                raise _refusal(source, member, f"has the {word} {str(value)[:80]!a}")
    guards = graph.get("guards_code", [])
    if not isinstance(guards, list):
        raise _refusal(source, member, "has guards that are no list")
    for guard in guards:
        if not isinstance(guard, str) or not _is_guard(guard):
            raise _refusal(source, member, f"has the guard {str(guard)[:80]!a}")


def check_tensors(data: bytes, source: Path | str, member: str, tensors: Mapping[str, int]) -> None:
    """Check the configuration of a program's weights or constants against the members that hold them.

    Parameters
    ----------
    data
        The JSON.
    source, member
        The file and the member of it, named in errors.
    tensors
        Name, without the folder, and size in bytes of each member that holds a tensor.

    Raises
    ------
    ArtifactError
        If a tensor is a pickle, is not in the file, or is not in the configuration.
    """
    read = _read(data, source, member)
    entries = read.get("config") if isinstance(read, dict) and len(read) == 1 else None
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise _refusal(source, member, "is not a configuration of tensors")
    named = set()
    for entry in entries.values():
        name, meta = entry.get("path_name"), entry.get("tensor_meta")
        if entry.get("use_pickle") is not False:
            raise _refusal(source, member, f"has {str(name)[:80]!a} unpickled")
        if not isinstance(name, str) or name not in tensors:
            raise _refusal(source, member, f"names {str(name)[:80]!a}, a tensor that is not in the file")
        sizes = meta.get("sizes") if isinstance(meta, dict) else None
        if not tensors[name] and (not isinstance(sizes, list) or {"as_int": 0} not in sizes):
            # torch would make it of zeros, of whatever size the configuration says.
            raise _refusal(source, member, f"gives a size to the empty tensor {name!a}")
        named.add(name)
    if unnamed := sorted(set(tensors) - named):
        raise _refusal(source, member, f"does not name the tensor {unnamed[0]!a} that is in the file")


def check_calls(data: bytes, source: Path | str, member: str) -> None:
    """Check what torch calls by name for a library of AOTInductor, in the JSON beside it.

    Inductor writes it for operators that it links no function for, most of them on GPUs.

    Parameters
    ----------
    data
        The JSON.
    source, member
        The file and the member of it, named in errors.

    Raises
    ------
    ArtifactError
        If it is not JSON, or calls what is no operator of torch.
    """
    read = _read(data, source, member)
    nodes = read.get("nodes") if isinstance(read, dict) else None
    if not isinstance(nodes, list):
        raise _refusal(source, member, "holds no calls")
    for node in nodes:
        call = node.get("node") if isinstance(node, dict) else None
        target = call.get("target") if isinstance(call, dict) else None
        if not isinstance(target, str) or not _CALLED.fullmatch(target):
            raise _refusal(source, member, f"has the operator {str(target)[:80]!a}")


def _is_size(text: str) -> bool:
    """Tell whether a text is a sum, product, minimum... of symbols and numbers in sympy's notation."""
    return _consists_of(text, _SIZE_TOKEN, _SIZE_NAMES)


def _is_guard(text: str) -> bool:
    """Tell whether a text compares sizes and strides of inputs, in Python."""
    return _consists_of(text, _GUARD_TOKEN, _SIZE_NAMES | _GUARD_NAMES)


def _is_operator(text: str) -> bool:
    return _OPERATOR.fullmatch(text) is not None


def _consists_of(text: str, token: re.Pattern[str], names: frozenset[str]) -> bool:
    """Tell whether a text is a row of tokens whose words are known names or symbols such as `s10`."""
    position = 0
    while position < len(text):
        found = token.match(text, position)
        if found is None:
            return False
        word = found[0]
        if word.isidentifier() and word not in names and not _SYMBOL.fullmatch(word):
            return False
        position = found.end()
    return position > 0


_CHECKS: Mapping[str, tuple[str, Callable[[str], bool]]] = {
    "target": ("operator", _is_operator),
    "as_operator": ("operator", _is_operator),
    "expr_str": ("size", _is_size),
}


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Return each mapping in a JSON value, at any depth."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _read(data: bytes, source: Path | str, member: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _refusal(source, member, "is not JSON") from error


def _refusal(source: Path | str, member: str, what: str) -> ArtifactError:
    return ArtifactError(
        f"{source} has a member '{member}' that {what}, which soaflow's exports do not have: do not use "
        "it, and export it again"
    )
