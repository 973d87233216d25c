"""The zip archives that torch writes: without what depends on the machine, and with their description.

The invariant: the same model gives the same bytes, in whatever folder and on whatever machine of a kind it
is exported; and the file says of itself what it is. `soaflow.archives` reads them, without torch.
"""

import datetime as dt
import hashlib
import io
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from soaflow.archives import DESCRIPTION, check_archive
from soaflow.cpu import this_cpu
from soaflow.description import Description
from soaflow.errors import SoaflowError
from soaflow.files import replacing
from soaflow.passport import Build, Passport, passport_path, passport_text
from soaflow.soa.contract import RETURNED, VIEWS, describe_contract
from soaflow.soa.signature import Signature

_WRITTEN_BY_TORCH = ("version", "byteorder", ".data/serialization_id")


def read_records(archive: bytes) -> dict[str, bytes]:
    """Return the records of an archive of torch by name, without the folder that holds them all."""
    reader = torch._C.PyTorchFileReader(io.BytesIO(archive))
    return {name: reader.get_record(name) for name in reader.get_all_records()}


def described(records: Mapping[str, bytes], description: Description) -> bytes:
    """Return an archive of torch with these records and a description, which replaces one that is there."""
    return write_records({**records, DESCRIPTION: description.to_json()})


def write_records(records: Mapping[str, bytes]) -> bytes:
    """Return an archive of torch with these records; those that torch writes itself are made anew."""
    stream = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(stream)
    if "version" in records:
        writer.set_min_version(int(records["version"]))
    for name, content in records.items():
        if name not in _WRITTEN_BY_TORCH:
            writer.write_record(name, content, len(content))
    writer.write_end_of_file()
    return stream.getvalue()


def describe(
    kind: str,
    signature: Signature,
    *,
    model_name: str,
    dtype: str,
    origin: dict[str, Any],
    inputs_are: str = VIEWS,
    outputs_are: str = RETURNED,
) -> Description:
    """Return what a program or artifact says of itself, with the contract of its signature."""
    return Description(
        kind=kind,
        model=model_name,
        dtype=dtype,
        targets=(),
        profile="",
        signature=signature.to_mapping(),
        contract=describe_contract(
            signature.computed_in(dtype), inputs_are=inputs_are, outputs_are=outputs_are
        ),
        origin=origin,
    )


def toolchain() -> dict[str, Any]:
    """Return the versions of what exports: torch, Python, C library and machine."""
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "c_library": " ".join(platform.libc_ver()),
        "machine": platform.machine(),
    }


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Knows when a build began, for the part of its passport that is not reproducible."""

    began: float

    @classmethod
    def start(cls) -> "Stopwatch":
        """Start it."""
        return cls(time.perf_counter())

    def made(self, *, from_cache: bool = False) -> dict[str, Any]:
        """Return when and where a file was built, and how long it took up to now.

        The time is that of the environment's SOURCE_DATE_EPOCH if it is set:
        https://reproducible-builds.org/specs/source-date-epoch/
        """
        epoch = float(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
        moment = dt.datetime.fromtimestamp(int(epoch), dt.UTC)
        return {
            "time": moment.isoformat().replace("+00:00", "Z"),
            "host": platform.node(),
            "cpu": this_cpu().describe(),
            "seconds": round(time.perf_counter() - self.began, 3),
            "from_cache": from_cache,
        }


def hand_over(
    path: Path | str,
    archive: bytes,
    description: Description,
    builds: dict[str, Build],
    made: dict[str, dict[str, Any]],
) -> Passport:
    """Write a checked program or artifact and its passport, both or none.

    Parameters
    ----------
    path
        Of the program or artifact; the passport comes beside it.
    archive
        Its bytes, with the description in them.
    description
        What it says of itself.
    builds, made
        By target; see `soaflow.passport.Passport`.

    Raises
    ------
    ArtifactError
        If the archive is not one that a reader would accept.
    OutputError
        If one of them cannot be written.
    """
    path = Path(path)
    passport = Passport(hashlib.sha256(archive).hexdigest(), len(archive), description, builds, made)
    appeared = False
    try:
        with replacing(passport_path(path)) as temporary_passport:
            with replacing(path) as temporary:
                temporary.write_bytes(archive)
                check_archive(temporary, description.kind)
                text = passport_text(passport, passport_path(path))
                temporary_passport.write_text(text, encoding="utf-8")
            appeared = True
    except SoaflowError:
        if appeared:
            path.unlink(missing_ok=True)
        raise
    return passport
