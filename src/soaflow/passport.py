"""The passport beside each program and artifact: what it is, what it was built from, how it was checked.

The invariant: `verify_artifact` returns only when the file's bytes are those that the passport was
written for, so nothing of a file is loaded, let alone run, before its SHA-256 is known to be right.

>>> passport_path("results/artifacts/SimpleNet.float32.native.pt2").name
'SimpleNet.float32.native.pt2.json'
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from soaflow.errors import ArtifactError, StorageError
from soaflow.files import read_json, sha256_of_file, write_json

SCHEMA_VERSION = 1
"""Version of the passport's fields."""

PROGRAM, JIT, AOT = "program", "jit", "aot"
KINDS = (PROGRAM, JIT, AOT)


@dataclass(frozen=True, slots=True)
class Passport:
    """What is known of one program or artifact.

    Parameters
    ----------
    kind
        `"program"`, `"jit"` or `"aot"`.
    model
        Name of the model in the configuration.
    dtype
        What it computes in; its inputs have the dtypes of their items.
    target
        What an AOT artifact is built for; empty for the other kinds.
    sha256, size
        Of the file, the size in bytes.
    signature
        As `soaflow.soa.signature.Signature.to_mapping` gives it.
    contract
        As `soaflow.soa.contract.describe_contract` gives it.
    origin
        What it was built from: a name for each file or setting, with its SHA-256 or value.
    toolchain
        Versions of what built it: torch, Python, compiler, C library, instruction set.
    options
        Of the export or the compiler.
    checks
        How it was compared with the eager model, and the figures.
    schema_version
        Of these fields.
    """

    kind: str
    model: str
    dtype: str
    target: str
    sha256: str
    size: int
    signature: dict[str, Any]
    contract: dict[str, Any]
    origin: dict[str, Any]
    toolchain: dict[str, Any]
    options: dict[str, Any]
    checks: dict[str, Any]
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def from_mapping(cls, entry: Any, source: Path | str = "passport") -> Self:
        """Make a passport from what its file holds.

        Parameters
        ----------
        entry
            JSON values.
        source
            Named in errors.

        Raises
        ------
        ArtifactError
            If a field is missing, unknown, or of the wrong type or value.
        """
        remedy = "export the artifact again"
        if not isinstance(entry, Mapping):
            raise ArtifactError(f"{source} is not a passport: {remedy}")
        if entry.get("schema_version") != SCHEMA_VERSION:
            raise ArtifactError(
                f"{source} has schema version {entry.get('schema_version')!r}, and this soaflow reads "
                f"version {SCHEMA_VERSION}: {remedy}"
            )
        types = {field.name: field.type for field in fields(cls)}
        if wrong := sorted(set(types) ^ set(entry), key=str):
            state = "unknown field" if wrong[0] in entry else "no field"
            raise ArtifactError(f"{source} has {state} '{wrong[0]}': {remedy}")
        for name, declared in types.items():
            expected, kind = _PLAIN_TYPES.get(declared, (dict, "a mapping"))
            if type(entry[name]) is not expected:
                raise ArtifactError(f"{source}: field '{name}' is {entry[name]!r}, not {kind}: {remedy}")
        if entry["kind"] not in KINDS:
            raise ArtifactError(
                f"{source}: field 'kind' is {entry['kind']!r}, not one of {', '.join(KINDS)}: {remedy}"
            )
        return cls(**entry)


_PLAIN_TYPES: Mapping[Any, tuple[type, str]] = {str: (str, "a text"), int: (int, "an integer")}


def passport_path(artifact: Path | str) -> Path:
    """Return where the passport of a file lies: beside it, with `.json` added to the name."""
    artifact = Path(artifact)
    return artifact.with_name(artifact.name + ".json")


def write_passport(artifact: Path | str, passport: Passport) -> None:
    """Write a file's passport, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    write_json(passport_path(artifact), asdict(passport))


def read_passport(artifact: Path | str) -> Passport:
    """Read the passport of a program or artifact, without looking at the file itself.

    Raises
    ------
    ArtifactError
        If there is no passport, or it is damaged.
    """
    path = passport_path(artifact)
    if not path.is_file():
        raise ArtifactError(f"{artifact} has no passport {path.name} beside it: export it again")
    try:
        entry = read_json(path)
    except StorageError as error:
        raise ArtifactError(f"{path} is not JSON: export the artifact again") from error
    return Passport.from_mapping(entry, path)


def verify_artifact(artifact: Path | str) -> Passport:
    """Read the passport of a program or artifact and check that the file is the one it describes.

    Raises
    ------
    ArtifactError
        If the file or its passport is missing, damaged, or not of the other.
    """
    artifact = Path(artifact)
    if not artifact.is_file():
        raise ArtifactError(f"{artifact} is not there: export it first")
    passport = read_passport(artifact)
    if artifact.stat().st_size != passport.size or sha256_of_file(artifact) != passport.sha256:
        raise ArtifactError(
            f"{artifact} is corrupt or is not the file its passport describes, as the SHA-256 differs: "
            "export it again"
        )
    return passport
