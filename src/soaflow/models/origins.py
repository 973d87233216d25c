"""Where a model's weights come from: a JSON file beside the weights.

The invariant: `read_origin` returns only what was written for these very weights. It names the training
data by SHA-256, so a passport that carries it ties an artifact to the events that it was trained on.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from soaflow.errors import ArtifactError, StorageError
from soaflow.files import read_json, sha256_of_file, write_json

TRAINED, GIVEN, INITIAL = "trained", "given", "initial"

_WEIGHTS = "weights_sha256"


def origin_path(weights: Path | str) -> Path:
    """Return where the origin of a weights file lies: beside it, with `.origin.json` added to the name."""
    weights = Path(weights)
    return weights.with_name(f"{weights.name}.origin.json")


def write_origin(
    weights: Path | str,
    source: str,
    *,
    files: Iterable[Path | str] = (),
    training: Mapping[str, Any] | None = None,
    code_sha256: str | None = None,
) -> None:
    """Write where a weights file comes from.

    Parameters
    ----------
    weights
        The file, already written.
    source
        `TRAINED`, `GIVEN` or `INITIAL`.
    files
        The training events, or the given file. Each is recorded by its folder and name.
    training
        The training settings, as the configuration has them.
    code_sha256
        Digest of the training code.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    origin: dict[str, Any] = {"source": source}
    if digests := {_short_name(Path(path)): sha256_of_file(path) for path in files}:
        origin["files"] = digests
    if training is not None:
        origin["training"] = dict(training)
    if code_sha256 is not None:
        origin["code_sha256"] = code_sha256
    write_json(origin_path(weights), {_WEIGHTS: sha256_of_file(weights), "origin": origin})


def write_given_origin(weights: Path | str, given: Path | str) -> None:
    """Write where weights come from that were taken from a given file.

    If soaflow has trained them, and says so beside the given file, that is where they come from, and the
    given file is no more than a copy.

    Parameters
    ----------
    weights
        The file, already written.
    given
        The file that they were taken from.

    Raises
    ------
    ArtifactError
        If the origin beside the given file is damaged, or is that of other weights.
    OutputError
        If it cannot be written.
    """
    if not origin_path(given).exists():
        write_origin(weights, GIVEN, files=[given])
        return
    origin = read_origin(given)["weights"]
    write_json(origin_path(weights), {_WEIGHTS: sha256_of_file(weights), "origin": origin})


def read_origin(weights: Path | str) -> dict[str, Any]:
    """Return the SHA-256 of a weights file and where it comes from, for a passport.

    Returns
    -------
    dict
        `weights_sha256`, and `weights`: source, files, training and code_sha256 as they were written.

    Raises
    ------
    ArtifactError
        If the origin is missing or damaged, or is that of other weights.
    """
    path = origin_path(weights)
    try:
        entry = read_json(path)
        digest, origin = str(entry[_WEIGHTS]), dict(entry["origin"])
    except (StorageError, LookupError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} is missing or damaged: train the model again") from error
    if digest != sha256_of_file(weights):
        raise ArtifactError(f"{path} is that of other weights than {weights}: train the model again")
    return {_WEIGHTS: digest, "weights": origin}


def origin_of_export(
    weights: Path | str, model: Mapping[str, Any], *, model_code: str, export_code: str
) -> dict[str, Any]:
    """Return what a program or artifact comes from, for its passport.

    Parameters
    ----------
    weights
        The file that the model has its weights from.
    model
        What makes the model: class, arguments and seed.
    model_code, export_code
        Digests of the model's code and of the code that exports it.

    Raises
    ------
    ArtifactError
        As `read_origin`.
    """
    codes = {"model_code_sha256": model_code, "export_code_sha256": export_code}
    return {**model, **codes, **read_origin(weights)}


def _short_name(path: Path) -> str:
    return "/".join(path.parts[-2:])
