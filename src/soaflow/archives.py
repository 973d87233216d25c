"""What a program or an artifact may hold, checked before torch opens it; nothing of it is run.

The invariant: what `check_archive` accepts has exactly the members that soaflow's exports write for its
kind, and none of them unpickles, evaluates or names anything but torch's tensors and operators. The
code that such a file is meant to run, an artifact's library or TorchScript's methods, it cannot judge:
that is the passport's SHA-256. `soaflow.export.archives` is the other side, which writes.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from soaflow.errors import ArtifactError
from soaflow.graphs import check_calls, check_graph, check_tensors
from soaflow.onnx_files import check_onnx
from soaflow.pickles import check_tensor_pickle, check_torchscript_pickle
from soaflow.zips import archive_members, read_archive

PROGRAM, JIT, AOT, FAT, ONNX = "program", "jit", "aot", "fat", "onnx"
"""Kinds of file: torch.export program, TorchScript, AOTInductor for one target or for several, and ONNX.

All but ONNX, which `soaflow.onnx_files` reads, are archives of torch.
"""

DESCRIPTION = "extra/soaflow.json"
"""The member in which soaflow describes a program or artifact."""

MODEL = "model"
"""The one model in a program, or in an AOT artifact that is not fat."""

_FIXED = {"byteorder": b"little", ".data/serialization_id": None}
_PACKAGE = _FIXED | {"archive_format": b"pt2", "archive_version": b"0", ".data/version": None}
_GRAPH = f"models/{MODEL}.json"
_SAMPLES = f"data/sample_inputs/{MODEL}.pt"
_LIBRARIES = "data/aotinductor/"


def read_members(path: Path | str) -> dict[str, int]:
    """Return the members of an archive that torch wrote.

    Parameters
    ----------
    path
        Of the file.

    Returns
    -------
    dict of str to int
        Name, without the root folder, and size in bytes of each, in their order.

    Raises
    ------
    ArtifactError
        If the file is not byte for byte as torch writes an archive; see `soaflow.zips`.
    """
    return _sizes(archive_members(read_archive(path), path))


def read_member(path: Path | str, name: str, largest: int) -> bytes:
    """Return the content of one member; the whole archive is checked as `read_members` does.

    Parameters
    ----------
    path
        Of the file.
    name
        Without the root folder.
    largest
        Most bytes that the member may have.

    Raises
    ------
    ArtifactError
        If the archive is not as torch writes it, or the member is not there or larger.
    """
    members = archive_members(read_archive(path), path)
    _check_present(members, [name], path)
    if len(members[name]) > largest:
        raise ArtifactError(
            f"{path} has a member '{name}' of {len(members[name])} bytes, and {largest} are the most it can "
            "be: do not use it, and export it again"
        )
    return bytes(members[name])


def packed_library(path: Path | str, model: str) -> bytes:
    """Return the shared library of one model of a package of AOTInductor.

    Parameters
    ----------
    path
        Of the package.
    model
        Its name in the package.

    Raises
    ------
    ArtifactError
        If the archive is not as torch writes it, or there is not one library for that model.
    """
    members = archive_members(read_archive(path), path)
    libraries = [
        f"{_LIBRARIES}{model}/{name}"
        for name in packed_models(members).get(model, [])
        if name.endswith(".so")
    ]
    if len(libraries) != 1:
        raise ArtifactError(f"{path} has {len(libraries)} libraries of '{model}', not one: export it again")
    return bytes(members[libraries[0]])


def check_archive(path: Path | str, kind: str) -> dict[str, int]:
    """Check that a file is a program or artifact of a kind, with all that this kind has and nothing else.

    Parameters
    ----------
    path
        Of the file.
    kind
        `"program"`, `"jit"`, `"aot"`, `"fat"` or `"onnx"`.

    Returns
    -------
    dict of str to int
        As `read_members` gives it; of an ONNX artifact, how often each operator occurs.

    Raises
    ------
    ArtifactError
        If the archive is not as torch writes it, a member is missing or is not one of this kind, or
        reading one would unpickle or evaluate what soaflow's exports do not hold.
    """
    if kind == ONNX:
        return check_onnx(path)
    members = archive_members(read_archive(path), path)
    _CHECKS[kind](members, path)
    return _sizes(members)


def _check_program(members: Mapping[str, memoryview], path: Path | str) -> None:
    tensors = {"data/weights/": "weight_", "data/constants/": "tensor_"}
    configurations = [f"{folder}{MODEL}_{folder.split('/')[1]}_config.json" for folder in tensors]
    _check_contents(members, _PACKAGE, path)
    _check_present(members, [_GRAPH, _SAMPLES, *configurations], path)
    _check_no_others(
        members,
        [*_PACKAGE, _GRAPH, _SAMPLES, *configurations, DESCRIPTION],
        [rf"{folder}{prefix}\d+" for folder, prefix in tensors.items()],
        path,
        "program",
    )
    for (folder, prefix), configuration in zip(tensors.items(), configurations, strict=True):
        beside = {
            name.removeprefix(folder): len(content)
            for name, content in members.items()
            if name.startswith(f"{folder}{prefix}")
        }
        check_tensors(bytes(members[configuration]), path, configuration, beside)
    check_graph(bytes(members[_GRAPH]), path, _GRAPH)
    _check_samples(bytes(members[_SAMPLES]), f"{path}, member '{_SAMPLES}'")


def _check_samples(archive: bytes, source: str) -> None:
    """Check the example inputs, an archive of its own that torch unpickles, if need be without limits."""
    members = archive_members(archive, source)
    fixed = _FIXED | {"version": None}
    _check_contents(members, fixed, source)
    _check_present(members, ["data.pkl"], source)
    optional = [".format_version", ".storage_alignment"]
    _check_no_others(members, [*fixed, *optional, "data.pkl"], [r"data/\d+"], source, "file of tensors")
    check_tensor_pickle(bytes(members["data.pkl"]), source, "data.pkl")


def _check_torchscript(members: Mapping[str, memoryview], path: Path | str) -> None:
    pickles = ["data.pkl", "constants.pkl"]
    if "constants.pkl" not in members and "data.pkl" in members:
        raise ArtifactError(
            f"{path} has no member 'constants.pkl', so it is no TorchScript but a pickle of torch.save: do "
            "not load it, and export the model again"
        )
    fixed = _FIXED | {"version": None}
    _check_contents(members, fixed, path)
    _check_present(members, pickles, path)
    code = r"code/__torch__(/\w+)*\.py"
    _check_no_others(
        members,
        [*fixed, *pickles, DESCRIPTION],
        [code, r"(data|constants)/\d+"],
        path,
        "TorchScript artifact",
    )
    if not any(re.fullmatch(code, name) for name in members):
        raise ArtifactError(f"{path} has no code, so it is no TorchScript: export the model again")
    for name in pickles:
        check_torchscript_pickle(bytes(members[name]), path, name)


def _check_aot(members: Mapping[str, memoryview], path: Path | str) -> None:
    _check_package(members, path, "AOT artifact")
    if set(packed_models(members)) != {MODEL}:
        raise ArtifactError(
            f"{path} has the models {', '.join(packed_models(members))}, and an AOT artifact has one called "
            f"'{MODEL}': do not use it, and export it again"
        )


def _check_fat(members: Mapping[str, memoryview], path: Path | str) -> None:
    _check_package(members, path, "fat artifact")


def _check_package(members: Mapping[str, memoryview], path: Path | str, what: str) -> None:
    """Check that each model of a package has one library with its metadata, and nothing else."""
    _check_contents(members, _PACKAGE, path)
    inside = rf"{_LIBRARIES}[\w.-]+/[\w.-]+"
    _check_no_others(members, [*_PACKAGE, DESCRIPTION], [inside], path, what)
    models = packed_models(members)
    if not models:
        raise ArtifactError(f"{path} has no shared library: export it again")
    for model, names in models.items():
        folder = f"{_LIBRARIES}{model}/"
        libraries = [name for name in names if name.endswith(".so")]
        if len(libraries) != 1:
            raise ArtifactError(
                f"{path} has {len(libraries)} shared libraries in '{folder}', and must have one: do not use "
                "it, and export it again"
            )
        library = folder + libraries[0]
        stem = library.removesuffix(".so")
        metadata, operators, source = f"{stem}_metadata.json", f"{stem}.json", f"{stem}.cpp"
        _check_present(members, [metadata], path)
        _check_device(bytes(members[metadata]), path, metadata)
        own = {folder + name: members[folder + name] for name in names}
        if operators in own:
            check_calls(bytes(own[operators]), path, operators)
        # Some versions of torch find the metadata by the name of a source, which is empty.
        sources = [] if own.get(source) else [source]
        _check_no_others(own, [library, metadata, operators, *sources], [], path, what)
        if bytes(members[library][:4]) != b"\x7fELF":
            raise ArtifactError(
                f"{path} has a member '{library}' that is no shared library: do not use it, and export "
                "it again"
            )


def packed_models(members: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of the files in each model's folder of a package of AOTInductor.

    Parameters
    ----------
    members
        Names, as `read_members` gives them.
    """
    models: dict[str, list[str]] = {}
    for name in members:
        if name.startswith(_LIBRARIES):
            model, file = name.removeprefix(_LIBRARIES).split("/", 1)
            models.setdefault(model, []).append(file)
    return models


def _check_device(data: bytes, path: Path | str, member: str) -> None:
    try:
        metadata = json.loads(data)
    except (ValueError, RecursionError):
        metadata = None
    device = metadata.get("AOTI_DEVICE_KEY") if isinstance(metadata, dict) else None
    if device not in {"cpu", "cuda"}:
        raise ArtifactError(
            f"{path} has a member '{member}' that names no device: do not use it, and export it again"
        )


_CHECKS: Mapping[str, Callable[[Mapping[str, memoryview], Path | str], None]] = {
    PROGRAM: _check_program,
    JIT: _check_torchscript,
    AOT: _check_aot,
    FAT: _check_fat,
}


def _check_contents(
    members: Mapping[str, memoryview], expected: Mapping[str, bytes | None], source: Path | str
) -> None:
    _check_present(members, expected, source)
    for name, content in expected.items():
        if content is not None and members[name] != content:
            raise ArtifactError(
                f"{source} has a member '{name}' that is not {content.decode()!r}: do not use it, and export "
                "it again"
            )


def _check_present(members: Iterable[str], names: Iterable[str], source: Path | str) -> None:
    for name in names:
        if name not in members:
            raise ArtifactError(f"{source} has no member '{name}': export it again")


def _check_no_others(
    members: Iterable[str], names: Iterable[str], patterns: Iterable[str], source: Path | str, what: str
) -> None:
    allowed = re.compile("|".join((*map(re.escape, names), *patterns)), re.ASCII)
    for name in members:
        if not allowed.fullmatch(name):
            raise ArtifactError(
                f"{source} has a member '{name}', which no {what} has: do not use it, and export it again"
            )


def _sizes(members: Mapping[str, memoryview]) -> dict[str, int]:
    return {name: len(content) for name, content in members.items()}
