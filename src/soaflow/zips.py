"""The one form of zip that torch writes, read so strictly that no two readers can see different members.

The invariant: a file is accepted only if every byte of it is the content of a member, with the right
CRC-32, or equals what torch would have written around members of these names and contents. Nothing is
skipped, so nothing can hide: not before, between or behind members, and not in a header that another
reader believes. Members are stored, so none can be larger than the file.

Python's `zipfile` is not used: it forgives what torch's own reader takes otherwise (data in front, a
second name in a member's own header, duplicates, case), and fails with a dozen types of exception.

torch writes, one behind the other: for each member a local header, the name, an extra field that pads
the content to 64 bytes with `Z`, the content, and, unless that is empty, a data descriptor; then the
central directory in the same order, the ZIP64 end record with its locator, and the end record. The
structures are those of PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 to 4.3.16.
"""

import os
import re
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from soaflow.errors import ArtifactError

MAX_BYTES = 2**32 - 2
"""Of an archive; torch writes larger ones in another form, with ZIP64 fields in each header."""

MAX_MEMBERS = 20_000
"""Of an archive; the largest models have some thousand tensors."""

MAX_NAME = 400
"""Characters of a member's name, root folder included; torch's reader cuts names at 512."""

_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIPTOR = struct.Struct("<4s3L")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")

_CENTRAL_SIGN, _LOCAL_SIGN, _DESCRIPTOR_SIGN = b"PK\x01\x02", b"PK\x03\x04", b"PK\x07\x08"
_END_SIGN, _END64_SIGN, _LOCATOR_SIGN = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_ENCRYPTED, _HAS_DESCRIPTOR, _UTF8 = 0x2041, 0x0008, 0x0800
_ALIGNMENT = 64
_SAFE_COMPONENT = re.compile(r"[A-Za-z0-9_.+-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the central directory says of one member, as far as torch's writer leaves it a choice.

    Parameters
    ----------
    name
        With the root folder.
    size
        Of the content, in bytes.
    crc
        CRC-32 of the content.
    offset
        Of the member's local header in the file, in bytes.
    """

    name: str
    size: int
    crc: int
    offset: int

    def central(self) -> bytes:
        """Return the entry as torch writes it."""
        name = self.name.encode()
        numbers = (0, 0, self._flags(), 0, 0, 0, self.crc, self.size, self.size, len(name), 0, 0, 0, 0, 0)
        return _CENTRAL.pack(_CENTRAL_SIGN, *numbers, self.offset) + name

    def local(self) -> bytes:
        """Return the member's local header, with name and padding, as torch writes it."""
        name = self.name.encode()
        padding = -(self.offset + _LOCAL.size + len(name) + 4) % _ALIGNMENT
        numbers = (0, self._flags(), 0, 0, 0, 0, 0, 0, len(name), padding + 4)
        return _LOCAL.pack(_LOCAL_SIGN, *numbers) + name + b"FB" + struct.pack("<H", padding) + b"Z" * padding

    def descriptor(self) -> bytes:
        """Return what torch writes behind the content."""
        return _DESCRIPTOR.pack(_DESCRIPTOR_SIGN, self.crc, self.size, self.size) if self.size else b""

    def _flags(self) -> int:
        return _UTF8 | _HAS_DESCRIPTOR if self.size else _UTF8


def read_archive(path: Path | str) -> bytes:
    """Read the bytes of an archive's file.

    Raises
    ------
    ArtifactError
        If it is no file, cannot be read, or is larger than `MAX_BYTES`.
    """
    try:
        # First, as opening a pipe waits for its other end.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ArtifactError(f"{path} is not a file: export it again")
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > MAX_BYTES:
                raise ArtifactError(
                    f"{path} is larger than 4 GiB, which soaflow cannot check: export a smaller model"
                )
            return stream.read(size)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}; export it again") from error


def archive_members(archive: bytes, source: Path | str) -> dict[str, memoryview]:
    """Return the members of an archive without the root folder's name, in their order.

    Parameters
    ----------
    archive
        All its bytes.
    source
        Named in errors.

    Returns
    -------
    dict of str to memoryview
        The name and the content of each; the contents are views into `archive`.

    Raises
    ------
    ArtifactError
        If any byte is not as torch writes it, a name is unsafe, or a content is not that of its CRC-32.
    """
    if not archive.startswith(_LOCAL_SIGN):
        raise _refusal(source, "is not a zip archive as torch writes it")
    count, directory_size, directory = _end_record(archive, source)
    contents: dict[str, memoryview] = {}
    names = _Names()
    position, central = 0, directory
    for entry in _entries(archive, directory, count, source):
        content, position = _content(archive, entry, position, directory, source)
        central += len(entry.central())
        if fault := names.add(entry.name):
            raise _refusal(source, f"has a member {entry.name!r} {fault}")
        contents[entry.name.split("/", 1)[1]] = content
    if position != directory:
        raise _refusal(source, "has unknown bytes between its members and its directory")
    if central != directory + directory_size or archive[central:] != _tail(count, directory_size, directory):
        raise _refusal(source, "has end records that contradict each other or its directory")
    return contents


def _content(
    archive: bytes, entry: _Entry, position: int, directory: int, source: Path | str
) -> tuple[memoryview, int]:
    """Return a member's content, and where the next member must begin.

    Parameters
    ----------
    archive
        All its bytes.
    entry
        Of the member in the directory.
    position
        Where the member must begin.
    directory
        Where the directory begins.
    source
        Named in errors.
    """
    member = f"member {entry.name!r}"
    if entry.offset != position:
        state = "overlaps another" if entry.offset < position else "has unknown bytes in front of it"
        raise _refusal(source, f"has a {member} that {state}")
    start = position + _check_local_header(archive, entry, source)
    end = start + entry.size
    following = end + len(entry.descriptor())
    if following > directory:
        raise _refusal(source, f"has a {member} that reaches into the directory")
    content = memoryview(archive)[start:end]
    if zlib.crc32(content) != entry.crc:
        raise _refusal(source, f"is corrupt in its {member}, whose CRC-32 differs")
    if archive[end:following] != entry.descriptor():
        raise _refusal(source, f"has a {member} whose data descriptor contradicts the directory")
    return content, following


class _Names:
    """Names in one root folder that no reader, if it ignores case, can take for each other."""

    def __init__(self) -> None:
        self._root = ""
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def add(self, name: str) -> str:
        """Add a name, and return what is wrong with it, if anything is."""
        root = name.split("/", 1)[0]
        self._root = self._root or root
        if root != self._root:
            return f"outside the folder {self._root!r} of the others"
        path = PurePosixPath(name.lower())
        folders = {str(folder) for folder in path.parents}
        if str(path) in self._files or str(path) in self._folders or folders & self._files:
            return "twice, or as a file and a folder, if one ignores case"
        self._files.add(str(path))
        self._folders |= folders
        return ""


def _refusal(source: Path | str, what: str) -> ArtifactError:
    return ArtifactError(f"{source} {what}: do not use it, and export it again")


def _end_record(archive: bytes, source: Path | str) -> tuple[int, int, int]:
    """Return the number of members, and the size and the offset of the central directory."""
    place = len(archive) - _END.size
    if place < 0 or not archive.startswith(_END_SIGN, place):
        raise _refusal(
            source, "does not end with the end record of a zip archive, as it was cut or something follows"
        )
    _, disk, first_disk, here, count, size, offset, comment = _END.unpack_from(archive, place)
    if disk or first_disk or here != count or comment:
        raise _refusal(source, "has an end record that torch does not write")
    if not 0 < count <= MAX_MEMBERS:
        raise _refusal(source, f"has {count} members, not 1 to {MAX_MEMBERS}")
    if offset + size > place:
        raise _refusal(source, "has a directory that reaches beyond its end")
    return count, size, offset


def _entries(archive: bytes, place: int, count: int, source: Path | str) -> Iterator[_Entry]:
    """Read the central directory, and refuse what torch does not write in it."""
    for number in range(count):
        if place + _CENTRAL.size > len(archive) or not archive.startswith(_CENTRAL_SIGN, place):
            raise _refusal(source, f"has a directory that breaks off at member {number + 1} of {count}")
        fields = _CENTRAL.unpack_from(archive, place)
        _, _, _, flags, method, _, _, crc, stored, size, length = fields[:11]
        external, offset = fields[15:]
        raw = archive[place + _CENTRAL.size : place + _CENTRAL.size + length]
        name = _checked_name(raw, source)
        for wrong, state in (
            (flags & _ENCRYPTED, "is encrypted"),
            (method, "is compressed"),
            (stored != size, "has two sizes"),
            (stat.S_ISLNK(external >> 16), "is a symbolic link"),
        ):
            if wrong:
                raise _refusal(source, f"has a member {name!r} that {state}")
        entry = _Entry(name, size, crc, offset)
        if not archive.startswith(entry.central(), place):
            raise _refusal(source, f"has a directory entry for member {name!r} that torch does not write")
        place += len(entry.central())
        yield entry


def _checked_name(raw: bytes, source: Path | str) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refusal(source, f"has a member {raw!r} whose name is not text") from error
    components = name.split("/")
    for wrong, state in (
        (len(name) > MAX_NAME, f"of more than {MAX_NAME} characters"),
        ("\\" in name, "with a backslash"),
        (name.startswith("/") or re.match("[A-Za-z]:", name), "that is an absolute path"),
        (".." in components or "." in components, "that leads out of its folder"),
        (name.endswith("/"), "that is a folder"),
        ("" in components, "with an empty part"),
        (len(components) == 1, "in no folder"),
        (not all(map(_SAFE_COMPONENT.fullmatch, components)), "with other than letters, digits and _ . + -"),
    ):
        if wrong:
            raise _refusal(source, f"has a member {name[:MAX_NAME]!a} {state}")
    return name


def _check_local_header(archive: bytes, entry: _Entry, source: Path | str) -> int:
    """Check a member's local header, and return its length in bytes, name and padding included."""
    expected = entry.local()
    if not archive.startswith(expected, entry.offset):
        raw = archive[entry.offset + _LOCAL.size : entry.offset + _LOCAL.size + len(entry.name.encode())]
        if raw != entry.name.encode():
            state = f"that is called {raw!r} in its own header"
        else:
            state = "whose own header torch does not write"
        raise _refusal(source, f"has a member {entry.name!r} {state}")
    return len(expected)


def _tail(count: int, size: int, offset: int) -> bytes:
    """Return what torch writes behind the central directory."""
    end64 = _END64.pack(_END64_SIGN, _END64.size - 12, 0x031E, 45, 0, 0, count, count, size, offset)
    locator = _LOCATOR.pack(_LOCATOR_SIGN, 0, offset + size, 1)
    return end64 + locator + _END.pack(_END_SIGN, 0, 0, count, count, size, offset, 0)
