"""The passport beside each program and artifact: what it is, what it was built from, how it was checked.

The invariant: a passport that is read is one that soaflow wrote, whole and unchanged, as it holds the
digest of its own reproducible part, and has what verification asks for. That part is the same for the
same inputs on the same kind of machine; when and where the file was built stands apart, under `made`.

The fields are documented in `passport.schema.json`, which every passport fits before it is written.

>>> passport_path("results/artifacts/SimpleNet.float32.native.balanced.pt2").name
'SimpleNet.float32.native.balanced.pt2.json'
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Self

from soaflow.archives import AOT, FAT
from soaflow.description import Description, check_fields
from soaflow.errors import ArtifactError, StorageError
from soaflow.files import json_text, read_json, write_text
from soaflow.gpu import compute_capability

SCHEMA_VERSION = 2
"""Version of the passport's fields."""

DIGEST = "passport_sha256"
"""The field that holds the digest of the reproducible part."""

DEEPEST = 32
"""Mappings and lists within one another that a passport may have."""


@dataclass(frozen=True, slots=True)
class Build:
    """How a program or artifact was built for one target, and what was found to be right.

    Parameters
    ----------
    toolchain
        Versions of what built it: torch, Python, compiler, C library, instruction set.
    options
        Of the export or the compiler.
    machine_code
        What disassembly found in the library; empty for programs and TorchScript.
    checks
        How it was compared with the eager model, and the figures.
    """

    toolchain: dict[str, Any]
    options: dict[str, Any]
    machine_code: dict[str, Any]
    checks: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Passport:
    """What is known of one program or artifact.

    Parameters
    ----------
    sha256, size
        Of the file, the size in bytes.
    description
        What the file says of itself.
    builds
        How each of its targets was built and checked; under the kind for what has no target.
    made
        When and where each of them was built. This is not reproducible, and not in the digest.
    schema_version
        Of these fields.
    """

    sha256: str
    size: int
    description: Description
    builds: dict[str, Build]
    made: dict[str, dict[str, Any]]
    schema_version: int = SCHEMA_VERSION

    def to_mapping(self) -> dict[str, Any]:
        """Return it as plain JSON values, with the digest of its reproducible part."""
        mapping = {**asdict(self), "description": self.description.to_mapping()}
        return {**mapping, DIGEST: _digest(mapping)}

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the reproducible part."""
        return str(self.to_mapping()[DIGEST])

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
            If a field is missing, unknown, or of the wrong type or value, or has been changed, or its
            parts do not belong together.
        """
        remedy = _REMEDY
        if not isinstance(entry, Mapping):
            raise ArtifactError(f"{source} is not a passport: {remedy}")
        if entry.get("schema_version") != SCHEMA_VERSION:
            raise ArtifactError(
                f"{source} has schema version {entry.get('schema_version')!r}, and this soaflow reads "
                f"version {SCHEMA_VERSION}: {remedy}"
            )
        if _is_deeper(entry, DEEPEST):
            raise ArtifactError(f"{source} is nested deeper than any passport: {remedy}")
        if entry.get(DIGEST) != _digest(entry):
            raise ArtifactError(f"{source} has been changed since it was written: {remedy}")
        content = {key: value for key, value in entry.items() if key != DIGEST}
        check_fields(cls, content, source)
        description = Description.from_mapping(content.pop("description"), f"{source}: description")
        for name, build in content["builds"].items():
            check_fields(Build, build, f"{source}: builds.{name}")
        builds = {name: Build(**build) for name, build in content.pop("builds").items()}
        passport = cls(**content, description=description, builds=builds)
        _check_parts(passport, source)
        return passport


_REMEDY = "export the artifact again"


def _digest(mapping: Mapping[str, Any]) -> str:
    reproducible = {key: value for key, value in mapping.items() if key not in (DIGEST, "made")}
    return hashlib.sha256(json.dumps(reproducible, sort_keys=True).encode()).hexdigest()


@cache
def passport_schema() -> dict[str, Any]:
    """Return the JSON schema of passports, which documents every field."""
    text = resources.files("soaflow").joinpath("passport.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def check_against_schema(passport: Passport, source: Path | str) -> None:
    """Check a passport's fields in full depth.

    Raises
    ------
    ArtifactError
        Naming the key that does not fit.
    """
    from soaflow.schema import schema_error  # noqa: PLC0415  0.1 s, and jobs need no schema to read passports

    if sentence := schema_error(passport.to_mapping(), passport_schema()):
        raise ArtifactError(f"{source}: {sentence}, or {_REMEDY}")


def _check_parts(passport: Passport, source: Path | str) -> None:
    """Check that there is a build for each target, with all that verification asks for."""
    description = passport.description
    expected = set(description.targets or [description.kind])
    for field, names in (("builds", set(passport.builds)), ("made", set(passport.made))):
        if wrong := sorted(names ^ expected):
            state = "no entry" if wrong[0] in expected else "an entry"
            raise ArtifactError(
                f"{source}: key '{field}' has {state} '{wrong[0]}', and the file is for "
                f"{', '.join(sorted(expected))}: {_REMEDY}"
            )
    for name, made in passport.made.items():
        if not isinstance(made, dict):
            raise ArtifactError(f"{source}: key 'made.{name}' is {made!r}, not a mapping: {_REMEDY}")
    compiled = description.kind in (AOT, FAT)
    for name, build in passport.builds.items():
        known = {
            "toolchain.torch": isinstance(build.toolchain.get("torch"), str),
            "machine_code.extensions": _are_texts(build.machine_code.get("extensions")) is compiled,
            "machine_code.glibc": _is_version(build.machine_code.get("glibc")) is compiled,
            "toolchain.compute_capability": build.toolchain.get("compute_capability", "")
            == _compute_capability_of(name),
            "toolchain.cuda": _is_version(build.toolchain.get("cuda", "")),
        }
        for key, fits in known.items():
            if not fits:
                raise ArtifactError(
                    f"{source}: key 'builds.{name}.{key}' is not what kind {description.kind} has: {_REMEDY}"
                )


def _compute_capability_of(target: str) -> str:
    """Return what a target for a GPU needs; empty for what runs on a CPU."""
    architecture = target.removeprefix("cuda-")
    return "" if architecture == target else compute_capability(architecture)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_version(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"([0-9]{1,6}(\.[0-9]{1,6})*)?", value) is not None


def _is_deeper(value: Any, levels: int) -> bool:
    """Tell whether mappings and lists lie within one another more than so many times."""
    inner = (
        value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else None
    )
    return inner is not None and (levels == 0 or any(_is_deeper(one, levels - 1) for one in inner))


def passport_path(artifact: Path | str) -> Path:
    """Return where the passport of a file lies: beside it, with `.json` added to the name."""
    artifact = Path(artifact)
    return artifact.parent / f"{artifact.name}.json"


def write_passport(artifact: Path | str, passport: Passport) -> None:
    """Write a file's passport, whole or not at all.

    Raises
    ------
    ArtifactError
        If it does not fit the schema, or its parts do not belong together.
    OutputError
        If it cannot be written.
    """
    path = passport_path(artifact)
    write_text(path, passport_text(passport, path))


def passport_text(passport: Passport, source: Path | str) -> str:
    """Return what a passport's file holds; errors of its content name `source`.

    Raises
    ------
    ArtifactError
        If it does not fit the schema, or its parts do not belong together.
    """
    check_against_schema(passport, source)
    _check_parts(passport, source)
    return json_text(passport.to_mapping())


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
        raise ArtifactError(f"{path} is not JSON: {_REMEDY}") from error
    passport = Passport.from_mapping(entry, path)
    # Readers differ in what they make of a key that stands twice, so only what soaflow writes is read.
    try:
        as_written = path.read_bytes() == json_text(entry).encode()
    except ValueError:  # a number that is none, which JSON does not know
        as_written = False
    if not as_written:
        raise ArtifactError(f"{path} is not written as soaflow writes it: {_REMEDY}")
    return passport
