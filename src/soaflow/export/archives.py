"""The zip archives that torch writes: without what depends on the machine, and with their passport.

The invariant: the same model gives the same bytes, in whatever folder it is exported.
"""

import io
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from soaflow.errors import OutputError
from soaflow.export.check import CheckFigures
from soaflow.files import replacing, sha256_of_file
from soaflow.passport import Passport, write_passport
from soaflow.soa.contract import describe_contract
from soaflow.soa.signature import Signature

_WRITTEN_BY_TORCH = ("version", "byteorder", ".data/serialization_id")


def without_records(archive: bytes, unwanted: Callable[[str], bool]) -> bytes:
    """Return an archive of torch without some of its records.

    Parameters
    ----------
    archive
        As `torch.jit.save`, `torch.export.save` and the AOTInductor packager write it.
    unwanted
        Is given the name of each record.
    """
    reader = torch._C.PyTorchFileReader(io.BytesIO(archive))
    stripped = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(stripped)
    names = reader.get_all_records()
    if "version" in names:
        writer.set_min_version(int(reader.get_record("version")))
    for name in names:
        if name not in _WRITTEN_BY_TORCH and not unwanted(name):
            record = reader.get_record(name)
            writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    return stripped.getvalue()


def toolchain() -> dict[str, Any]:
    """Return the versions of what exports: torch, Python, C library and machine."""
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "c_library": " ".join(platform.libc_ver()),
        "machine": platform.machine(),
    }


def hand_over(
    path: Path | str,
    archive: bytes,
    signature: Signature,
    figures: CheckFigures,
    *,
    kind: str,
    model_name: str,
    dtype: str,
    target: str,
    origin: dict[str, Any],
    options: dict[str, Any],
    built_by: dict[str, Any],
) -> Passport:
    """Write a checked program or artifact and its passport, both or none.

    Raises
    ------
    OutputError
        If one of them cannot be written.
    """
    path = Path(path)
    with replacing(path) as temporary:
        temporary.write_bytes(archive)
    passport = Passport(
        kind=kind,
        model=model_name,
        dtype=dtype,
        target=target,
        sha256=sha256_of_file(path),
        size=len(archive),
        signature=signature.to_mapping(),
        contract=describe_contract(signature),
        origin=origin,
        toolchain=built_by,
        options=options,
        checks=figures.to_mapping(),
    )
    try:
        write_passport(path, passport)
    except OutputError:
        path.unlink(missing_ok=True)
        raise
    return passport
