"""Output files that appear whole or not at all, and digests of files.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     write_json(Path(folder) / "figures.json", {"rows": 3})
...     read_json(Path(folder) / "figures.json")
{'rows': 3}
"""

import contextlib
import errno
import hashlib
import itertools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from soaflow.claims import claimed
from soaflow.errors import OutputError, SoaflowError, StorageError
from soaflow.inputs import require_unchanged


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; rename it to `path` when the block succeeds.

    The folder is made if it is not there. When the block fails nothing is left behind, and an
    earlier file at `path` stays as it was; what a killed writer leaves goes with the next one. Two writers
    of one path cannot mix their bytes: that of the last to finish stays. The bytes are on the disk before
    the name is, so neither a power failure nor a write error that a file system tells late leaves a file
    that only looks whole.

    Raises
    ------
    OutputError
        If the operating system refuses the write: full disk, no permission, not a folder.
    StorageError
        If an input has changed since it was first read; see `soaflow.inputs.reading`.
    """
    path = Path(path)
    with _refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # An error of the block is looked at while the disk is as full as it made it.
        with claimed(path) as temporary, _refusals(path):
            yield temporary
            _reach_the_disk(temporary)
            require_unchanged()
            os.replace(temporary, path)


@contextlib.contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """Turn what the operating system says of an output, by whatever library, into one sentence."""
    try:
        yield
    except SoaflowError:
        raise
    except OSError as error:
        if error.errno is None or not _concerns(error, path):
            raise
        raise _output_error(path, error.errno) from error
    except RuntimeError as error:
        number = _reason_number(error, path.parent)
        if number is None:
            raise
        raise _output_error(path, number) from error


def _reach_the_disk(path: Path) -> None:
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())


def _concerns(error: OSError, path: Path) -> bool:
    """Tell whether an error is about the output, and not about a file that the block reads."""
    if not isinstance(error.filename, str | os.PathLike):
        return True
    named = Path(error.filename)
    return named.parent == path.parent or named in path.parents


def _reason_number(error: RuntimeError, folder: Path) -> int | None:
    """Find why a write failed in an error of HDF5, which says it in its text, or of torch, which does not."""
    if found := re.search(r"\berrno = (\d+)", str(error)):
        return int(found[1])
    with contextlib.suppress(OSError):
        if os.statvfs(folder).f_bavail == 0:
            return errno.ENOSPC
    return None


def _output_error(path: Path, number: int) -> OutputError:
    remedy = _REMEDIES.get(number, "choose another folder")
    return OutputError(f"{path} cannot be written: {os.strerror(number)}; {remedy}")


_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free space or choose another folder"),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS), "get the right to write there or choose another folder"
    ),
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EEXIST),
        "move away the file that is where a folder must be, or choose another folder",
    ),
    errno.EISDIR: "move away the folder of that name or choose another name",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def check_not_inputs(outputs: Iterable[Path | str], inputs: Iterable[Path | str]) -> None:
    """Check that no output would replace a file that is read.

    Raises
    ------
    OutputError
        If an output is one of the inputs, under whatever name.
    """
    for output, read in itertools.product(map(Path, outputs), map(Path, inputs)):
        try:
            same = output.samefile(read)
        except OSError:  # one of them is not there
            same = False
        if same:
            raise OutputError(
                f"{output} would replace {read}, which is read: choose another name for the output"
            )


def write_text(path: Path | str, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def json_text(value: Any) -> str:
    """Return JSON with sorted keys, two spaces of indent and a final line feed."""
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"


def write_json(path: Path | str, value: Any) -> None:
    """Write a value as `json_text` gives it."""
    write_text(path, json_text(value))


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises
    ------
    StorageError
        If the file is not there or is not JSON.
    """
    return _parsed(path, "JSON", json.loads, json.JSONDecodeError, remedy="write it again")


def read_yaml(path: Path | str) -> Any:
    """Read a YAML file, which a JSON file is too.

    Raises
    ------
    StorageError
        If the file is not there or is not YAML.
    """
    import yaml  # noqa: PLC0415  few of those who read and write files need it

    return _parsed(path, "YAML", yaml.safe_load, yaml.YAMLError, remedy="mend it")


def _parsed(
    path: Path | str, language: str, parse: Callable[[str], Any], malformed: type[Exception], *, remedy: str
) -> Any:
    try:
        return parse(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from error
    except (malformed, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise StorageError(f"{path} cannot be read as {language}: {reason}; {remedy}") from error


def sha256_of_file(path: Path | str) -> str:
    """Return the SHA-256 (hex) of a file's bytes.

    Raises
    ------
    StorageError
        If the file cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from error
