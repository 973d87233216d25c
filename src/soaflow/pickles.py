"""Pickles that torch writes for tensors and for TorchScript, read without running them.

The invariant: a pickle is accepted only if it is one whole pickle, of instructions that torch's writers
use, and names only classes and functions that they name. What it can call is then known.
"""

import pickletools
import re
from pathlib import Path

from soaflow.errors import ArtifactError

_INSTRUCTIONS = """
    APPEND APPENDS BINFLOAT BINGET BININT BININT1 BININT2 BINPERSID BINPUT BINUNICODE BUILD EMPTY_DICT
    EMPTY_LIST EMPTY_TUPLE GLOBAL LONG1 LONG_BINGET LONG_BINPUT MARK NEWFALSE NEWOBJ NEWTRUE NONE PROTO
    REDUCE SETITEM SETITEMS STOP TUPLE TUPLE1 TUPLE2 TUPLE3
    """
_OPCODES = frozenset(_INSTRUCTIONS.split())
_BY_CODE = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
_STOP = b"."
_LENGTH_BYTES = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT4U: 4}
_ELEMENTS = """
    BFloat16 Bool Byte Char ComplexDouble ComplexFloat Double Float Half Int Long QInt32 QInt8 QUInt8 Short
    """
_STORAGES = frozenset(f"torch {element}Storage" for element in _ELEMENTS.split())
_TENSORS = _STORAGES | {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    # How torch writes tensors of the dtypes that have no storage class.
    "torch._utils _rebuild_tensor_v3",
    "torch.storage UntypedStorage",
    *(f"torch uint{bits}" for bits in (16, 32, 64)),
}
_TORCHSCRIPT = _TENSORS | {
    "builtins complex",
    "torch device",
    "torch per_tensor_affine",
    "torch per_channel_affine",
    "torch._utils _rebuild_qtensor",
    *(f"torch.jit._pickle build_{kind}list" for kind in ("bool", "double", "int", "tensor")),
    "torch.jit._pickle restore_type_tag",
}
_TORCHSCRIPT_CLASS = re.compile(r"__torch__(\.\w+)* \w+", re.ASCII)


def check_tensor_pickle(data: bytes, source: Path | str, member: str) -> None:
    """Check a pickle that `torch.save` wrote of plain tensors in tuples and dictionaries.

    Parameters
    ----------
    data
        The pickle.
    source, member
        The file and the member of it, named in errors.

    Raises
    ------
    ArtifactError
        If it is not whole, or names anything but tensors and their storages.
    """
    for name in _globals(data, source, member):
        if name not in _TENSORS:
            raise _refused_global(name, source, member)


def check_torchscript_pickle(data: bytes, source: Path | str, member: str) -> None:
    """Check a pickle that `torch.jit.save` wrote.

    Parameters
    ----------
    data
        The pickle.
    source, member
        The file and the member of it, named in errors.

    Raises
    ------
    ArtifactError
        If it is not whole, or names anything but TorchScript's own classes and what builds its values.
    """
    for name in _globals(data, source, member):
        if name not in _TORCHSCRIPT and not _TORCHSCRIPT_CLASS.fullmatch(name):
            raise _refused_global(name, source, member)


def _globals(data: bytes, source: Path | str, member: str) -> list[str]:
    """Return what a pickle names, in its order, each as module, space, name."""
    # pickletools.genops is not used, as it resolves escapes in names, which no unpickler does.
    found = []
    position = 0
    while (code := data[position : position + 1]) != _STOP:
        if not code:
            raise _refusal(source, member, "is not a whole pickle")
        opcode = _BY_CODE.get(code)
        if opcode is None or opcode.name not in _OPCODES:
            used = opcode.name if opcode else code.hex()
            raise _refusal(source, member, f"uses the pickle instruction {used}")
        position += 1
        length = opcode.arg.n if opcode.arg else 0
        if length == pickletools.UP_TO_NEWLINE:
            end_of_module = data.find(b"\n", position)
            end = data.find(b"\n", end_of_module + 1)
            if end_of_module < 0 or end < 0:
                raise _refusal(source, member, "is not a whole pickle")
            found.append(data[position:end].decode("ascii", "backslashreplace").replace("\n", " "))
            position = end + 1
        elif length < 0:
            prefix = _LENGTH_BYTES[length]
            position += prefix + int.from_bytes(data[position : position + prefix], "little")
        else:
            position += length
    if position + 1 != len(data):
        raise _refusal(source, member, "has bytes behind its pickle")
    return found


def _refused_global(name: str, source: Path | str, member: str) -> ArtifactError:
    return _refusal(source, member, f"would load {name.replace(' ', '.')!a}")


def _refusal(source: Path | str, member: str, what: str) -> ArtifactError:
    return ArtifactError(
        f"{source} has a member '{member}' that {what}, which torch does not write: do not use it, and "
        "export it again"
    )
