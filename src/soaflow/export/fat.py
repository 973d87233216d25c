"""The fat artifact: one package with the same program built for several targets.

The invariant: every target in it is an artifact that was checked as such, of one program, in one profile.
A loader unpacks only the one that it runs; see `soaflow.verification.chosen_target`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from soaflow.archives import AOT, FAT
from soaflow.errors import ArtifactError
from soaflow.export.archives import described, hand_over, read_records
from soaflow.models.packages import MODEL_IN_PACKAGE
from soaflow.passport import Passport
from soaflow.targets import find_target
from soaflow.verification import CPU, verify_artifact

_FOLDER = "data/aotinductor"


def write_fat(artifact_paths: Sequence[Path | str], path: Path | str) -> Passport:
    """Pack artifacts of one program for several targets into one, and write it with its passport.

    Parameters
    ----------
    artifact_paths
        Of AOT artifacts for levels of x86-64, all of one program and profile; each with its passport.
    path
        Of the fat artifact, ending in `.pt2`.

    Raises
    ------
    ArtifactError
        If one of them is not sound, or they are not of one program and profile, or of the same target.
    OutputError
        If the files cannot be written.
    """
    passports = {Path(artifact): verify_artifact(artifact, accept=[CPU]) for artifact in artifact_paths}
    _check_alike(passports)
    lowest_first = sorted(
        passports, key=lambda artifact: find_target(_target(passports[artifact])).level or 0
    )
    records: dict[str, bytes] = {}
    for artifact in lowest_first:
        for name, content in read_records(artifact.read_bytes()).items():
            records[_renamed(name, _target(passports[artifact]))] = content
    ordered = [passports[artifact] for artifact in lowest_first]
    first = ordered[0].description
    origin = {key: value for key, value in first.origin.items() if key != "build_code_sha256"}
    description = replace(
        first,
        kind=FAT,
        targets=tuple(map(_target, ordered)),
        origin={**origin, "artifacts_sha256": {_target(one): one.sha256 for one in ordered}},
    )
    builds = {_target(one): one.builds[_target(one)] for one in ordered}
    made = {_target(one): one.made[_target(one)] for one in ordered}
    return hand_over(path, described(records, description), description, builds, made)


def _check_alike(passports: Mapping[Path, Passport]) -> None:
    first_path, first = next(iter(passports.items()))
    seen: dict[str, Path] = {}
    for path, passport in passports.items():
        description = passport.description
        if description.kind != AOT or find_target(_target(passport)).level is None:
            what = ", ".join(description.targets) or description.kind
            raise ArtifactError(
                f"{path} is for {what}, which no loader can choose by: name artifacts for levels of x86-64"
            )
        if (other := seen.setdefault(_target(passport), path)) is not path:
            raise ArtifactError(f"{path} and {other} are for one target: name each target once")
        for what, mine, its in (
            (
                "program",
                description.origin.get("program_sha256"),
                first.description.origin.get("program_sha256"),
            ),
            ("profile", description.profile, first.description.profile),
        ):
            if mine != its:
                raise ArtifactError(f"{path} and {first_path} are not of one {what}: rebuild them from one")


def _target(passport: Passport) -> str:
    return passport.description.targets[0] if passport.description.targets else ""


def _renamed(record: str, target: str) -> str:
    """Return where a record of a target lies among those of the others."""
    own = f"{_FOLDER}/{MODEL_IN_PACKAGE}/"
    return f"{_FOLDER}/{target}/{record.removeprefix(own)}" if record.startswith(own) else record
