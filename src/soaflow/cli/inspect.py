"""`soaflow inspect`: what is in a file, told from its own description.

The invariant: no code of a model is loaded and torch is not imported, whatever the file holds.
"""

import argparse
import os
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from soaflow.cli.text import listed, placement_mapping, placement_table, print_json, table
from soaflow.cli.verdicts import verdict_text
from soaflow.compare.measurement import read_measurement
from soaflow.compare.verdict import read_verdict
from soaflow.errors import StorageError
from soaflow.files import read_json
from soaflow.infer.proof import read_proof
from soaflow.passport import Passport, check_against_schema, passport_path
from soaflow.soa.contract import caller_obligations
from soaflow.soa.gathered import Gathered, read_gathered
from soaflow.soa.storage import read_header
from soaflow.verification import ACCEPTABLE, verify_artifact

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def run(arguments: argparse.Namespace) -> int:
    """Print what a file holds, for people or as JSON."""
    mapping, text = _inspector(arguments.file)(arguments.file)
    if arguments.json:
        print_json(mapping)
    else:
        print(text, end="")
    return 0


_Told = tuple[dict[str, Any], str]
"""The same as JSON values and as text."""


def _inspector(path: Path) -> Callable[[Path], _Told]:
    try:
        with open(path, "rb") as stream:
            start = stream.read(len(_HDF5_SIGNATURE))
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from error
    if path.suffix == ".pt" and not passport_path(path).exists():
        return _members
    if path.suffix in (".pt", ".pt2", ".onnx"):
        return _artifact
    if path.suffix == ".json":
        return _json
    if start == _HDF5_SIGNATURE or path.suffix in (".h5", ".hdf5"):
        return _hdf5
    raise StorageError(
        f"{path} is no kind of file that soaflow writes: name a .h5, .pt, .pt2, .onnx or .json file"
    )


def _hdf5(path: Path) -> _Told:
    if (gathered := read_gathered(path)) is not None:
        return _gathered(path, gathered)
    header = read_header(path)
    collections = header.collections.items()
    mapping = {
        "holds": header.kind,
        "attributes": header.attributes,
        "collections": {
            name: {**placement_mapping(stored.placement), "file_offset": stored.file_offset}
            for name, stored in collections
        },
    }
    parts = [f"{path}: {header.kind}\n{listed(header.attributes)}"]
    for name, stored in collections:
        placement = stored.placement
        parts.append(
            f"\n{name}: {placement.rows} rows, a blob of {placement.blob_bytes} bytes at byte "
            f"{stored.file_offset} of the file, alignment {placement.layout.alignment}\n\n"
            f"{placement_table(placement)}"
        )
    return mapping, "".join(parts)


def _gathered(path: Path, gathered: Gathered) -> _Told:
    description = gathered.description
    mapping = {
        "holds": f"{description.kind} of {len(gathered.shards)} shards",
        "attributes": description.attributes,
        "collections": {name: placement_mapping(found) for name, found in description.placements.items()},
        "shards": [asdict(shard) for shard in gathered.shards],
    }
    shards = [(shard.shard, shard.file, shard.rows) for shard in gathered.shards]
    title = f"{path}: {mapping['holds']}, shown and not copied"
    parts = [f"{title}\n{listed(description.attributes)}\n{table(('shard', 'file', 'rows'), shards)}"]
    parts += [
        f"\n{name}: {placement.rows} rows\n\n{placement_table(placement)}"
        for name, placement in description.placements.items()
    ]
    return mapping, "".join(parts)


def _artifact(path: Path) -> _Told:
    return _passport(
        f"{path}, whose SHA-256 is that of its passport", verify_artifact(path, accept=ACCEPTABLE)
    )


def _members(path: Path) -> _Told:
    """List the members of a .pt file without passport; nothing of them is read, let alone unpickled."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member.file_size for member in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise StorageError(
            f"{path} has no passport {passport_path(path).name} beside it and is no file of torch: name "
            "weights, or an artifact beside its passport"
        ) from error
    script = any("/code/" in name for name in members)
    holds = "TorchScript without a passport" if script else "weights, or another file of torch"
    remedy = "  It cannot be run without its passport: export the model again.\n" if script else ""
    size = path.stat().st_size
    text = f"{path}: {holds}, {size} bytes\n{remedy}\n{table(('member', 'bytes'), list(members.items()))}"
    return {"holds": holds, "size": size, "members": members}, text


def _passport(label: str, passport: Passport) -> _Told:
    description = passport.description
    mapping = {"holds": "passport", **passport.to_mapping()}
    summary = {
        "kind": description.kind,
        "model": description.model,
        "dtype": description.dtype,
        **({"targets": description.targets, "profile": description.profile} if description.targets else {}),
        "size": passport.size,
        "sha256": passport.sha256,
    }
    text = [f"{label}\n{listed(summary)}"]
    for part, columns in _CONTRACT_COLUMNS.items():
        rows = [
            [_sizes(entry[key]) if isinstance(entry[key], list) else entry[key] or "-" for key in columns]
            for entry in description.contract[part]
        ]
        text.append(f"\n{part}\n\n{table(columns, rows)}")
    obligations = "".join(f"  {sentence}\n" for sentence in caller_obligations(description.contract))
    text.append(f"\nwhat a caller must hold, and gets\n{obligations}")
    text.append(f"\norigin\n{listed(description.origin)}" if description.origin else "")
    text += [f"\nbuild for {name}\n{listed(asdict(build))}" for name, build in passport.builds.items()]
    text += [f"\nmade for {name}\n{listed(made)}" for name, made in passport.made.items()]
    return mapping, "".join(text)


_CONTRACT_COLUMNS = {
    "inputs": ("name", "collection", "dtype", "sizes", "strides"),
    "outputs": ("name", "dtype", "sizes"),
}


def _sizes(values: list[object]) -> str:
    return f"[{', '.join(map(str, values))}]"


def _json(path: Path) -> _Told:
    entry = read_json(path)
    keys = set(entry) if isinstance(entry, dict) else set()
    if "proof_version" in keys:
        proof = read_proof(path)
        return {"holds": "proof", **entry}, f"{path}: proof of an inference job\n{listed(proof.to_mapping())}"
    if "verdict_version" in keys:
        return {"holds": "verdict", **entry}, f"{path}: verdict\n\n{verdict_text(read_verdict(path))}"
    if "measurement_version" in keys:
        measured = read_measurement(path)
        return {"holds": "measurement", **entry}, f"{path}: measurement of {measured.described}\n"
    if "schema_version" in keys:
        passport = Passport.from_mapping(entry, path)
        check_against_schema(passport, path)
        return _passport(f"{path}: passport", passport)
    raise StorageError(
        f"{path} is JSON but neither a proof, a measurement, a verdict nor a passport: name one of these"
    )
