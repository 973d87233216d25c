"""What a program or artifact says of itself, in a member of its own archive or a property of its ONNX.

The invariant: whoever has the file alone knows how to call it and what it was made from. It is JSON in a
zip or in protobuf, so reading it runs no code. What is known only once the file is whole, its SHA-256 for
one, and what was measured stands in the passport beside it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from soaflow.archives import AOT, DESCRIPTION, FAT, JIT, ONNX, PROGRAM, read_member
from soaflow.errors import ArtifactError, TargetError
from soaflow.onnx_files import DESCRIPTION_KEY, SUFFIX, read_onnx_description
from soaflow.targets import find_target, levels_of

LARGEST = 1 << 20
"""Bytes; a larger one is not read."""

KINDS = (PROGRAM, JIT, AOT, FAT, ONNX)


@dataclass(frozen=True, slots=True)
class Description:
    """What holds for a program or artifact wherever it is.

    Parameters
    ----------
    kind
        One of `KINDS`: a torch.export program, a TorchScript artifact, an AOTInductor artifact for one
        target, one for several, or an ONNX artifact.
    model
        Name of the model in the configuration.
    dtype
        What it computes in; its inputs have the dtypes of their items.
    targets
        What it is built for; empty for programs, TorchScript and ONNX.
    profile
        The build profile of an AOTInductor artifact; empty for the other kinds.
    signature
        As `soaflow.soa.signature.Signature.to_mapping` gives it.
    contract
        As `soaflow.soa.contract.describe_contract` gives it.
    origin
        What it was made from: a name for each file, setting or digest of code, with its SHA-256 or value.
    """

    kind: str
    model: str
    dtype: str
    targets: tuple[str, ...]
    profile: str
    signature: dict[str, Any]
    contract: dict[str, Any]
    origin: dict[str, Any]

    def to_mapping(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**asdict(self), "targets": list(self.targets)}

    def to_json(self) -> bytes:
        """Return the bytes of the member, the same for equal descriptions."""
        return (json.dumps(self.to_mapping(), indent=2, sort_keys=True) + "\n").encode()

    @classmethod
    def from_mapping(cls, entry: Any, source: Path | str) -> Self:
        """Make a description from JSON values.

        Raises
        ------
        ArtifactError
            If a field is missing, unknown, or of the wrong type or value, or the targets are not such
            as the kind has.
        """
        check_fields(cls, entry, source)
        remedy = "export it again"
        if entry["kind"] not in KINDS:
            raise ArtifactError(
                f"{source}: field 'kind' is {entry['kind']!r}, not one of {', '.join(KINDS)}: {remedy}"
            )
        if not all(isinstance(target, str) for target in entry["targets"]):
            raise ArtifactError(f"{source}: field 'targets' is {entry['targets']!r}, not texts: {remedy}")
        description = cls(**{**entry, "targets": tuple(entry["targets"])})
        if wrong := _wrong_targets(description):
            raise ArtifactError(f"{source}: {wrong}: {remedy}")
        return description


def _wrong_targets(description: Description) -> str:
    """Return what is wrong with the targets for the kind, or nothing."""
    targets, kind = description.targets, description.kind
    shown = ", ".join(targets) or "none"
    if kind not in (AOT, FAT):
        return f"the targets are {shown}, and kind {kind} has none" if targets else ""
    try:
        for target in targets:
            find_target(target)
    except TargetError as error:
        return str(error)
    if kind == AOT and len(targets) != 1:
        return f"the targets are {shown}, and kind {kind} has one"
    if kind == FAT and (not targets or targets != levels_of(targets)):
        return f"the targets are {shown}, and kind {kind} has levels of x86-64, lowest first"
    return ""


_PLAIN_TYPES: Mapping[Any, tuple[type, str]] = {
    str: (str, "a text"),
    int: (int, "an integer"),
    tuple[str, ...]: (list, "a list"),
}


def check_fields(record: type[Any], entry: Any, source: Path | str) -> None:
    """Check that JSON values have the fields of a dataclass, no others, and of their types.

    A field whose type is no plain one must be a mapping.

    Raises
    ------
    ArtifactError
        Naming the first field that is missing, unknown or of the wrong type.
    """
    remedy = "export it again"
    if not isinstance(entry, Mapping):
        raise ArtifactError(f"{source} is not a mapping: {remedy}")
    types = {field.name: field.type for field in fields(record)}
    if wrong := sorted(set(types) ^ set(entry), key=str):
        state = "unknown field" if wrong[0] in entry else "no field"
        raise ArtifactError(f"{source} has {state} '{wrong[0]}': {remedy}")
    for name, declared in types.items():
        expected, kind = _PLAIN_TYPES.get(declared, (dict, "a mapping"))
        if type(entry[name]) is not expected:
            raise ArtifactError(f"{source}: field '{name}' is {entry[name]!r}, not {kind}: {remedy}")


def read_description(path: Path | str) -> Description:
    """Read what a program or artifact says of itself; none of its code is loaded.

    Raises
    ------
    ArtifactError
        If the file is no archive or ONNX artifact, or has no such member or property, or a damaged one.
    """
    if Path(path).suffix == SUFFIX:
        content = read_onnx_description(path, LARGEST)
        source = f"{path}: property '{DESCRIPTION_KEY}'"
    else:
        content = read_member(path, DESCRIPTION, LARGEST)
        source = f"{path}: {DESCRIPTION}"
    try:
        entry = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{source} is not JSON: export it again") from error
    return Description.from_mapping(entry, source)
