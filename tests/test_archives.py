"""Archives are made here byte by byte, so that each fault can be planted alone, and compared with torch's."""

import contextlib
import dataclasses
import io
import json
import logging
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from soaflow.archives import AOT, DESCRIPTION, FAT, JIT, PROGRAM, check_archive, read_member, read_members
from soaflow.errors import ArtifactError
from soaflow.export.notices import torch_deprecations_ignored
from soaflow.zips import MAX_MEMBERS, MAX_NAME, archive_members

Contents = dict[str, bytes]

FUZZ = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
COMMON = {"byteorder": b"little", ".data/serialization_id": b"1" * 40}
PACKAGE = {"archive_format": b"pt2", "archive_version": b"0", ".data/version": b"6\n", **COMMON}
SMALL = {"data/x": b"abc", "empty": b"", "y": bytes(range(200)), **COMMON}


@dataclasses.dataclass(frozen=True)
class Member:
    """A member as torch writes it, unless a field says otherwise."""

    name: str
    content: bytes = b"content"
    own_name: str | None = None
    flags: int | None = None
    method: int = 0
    stored: int | None = None
    size: int | None = None
    crc: int | None = None
    external: int = 0
    comment: bytes = b""
    extra: bytes = b""
    moved: int = 0
    front: bytes = b""
    padding: bytes = b"Z"
    descriptor: bytes | None = None


def zipped(members: Iterable[Member], *, disorder: bool = False, count: int = 0, tail: bytes = b"") -> bytes:
    """Write an archive; `disorder` swaps the first directory entries, `count` is added to their number."""
    body, entries = b"", []
    for member in members:
        body += member.front
        offset = len(body)
        raw, own = member.name.encode(), (member.own_name or member.name).encode()
        flags = member.flags if member.flags is not None else 0x808 if member.content else 0x800
        size = len(member.content) if member.size is None else member.size
        stored = size if member.stored is None else member.stored
        crc = zlib.crc32(member.content) if member.crc is None else member.crc
        padding = -(offset + 30 + len(own) + 4) % 64
        body += b"PK\x03\x04" + struct.pack(
            "<5H3L2H", 0, flags, member.method, 0, 0, 0, 0, 0, len(own), padding + 4
        )
        body += own + b"FB" + struct.pack("<H", padding) + member.padding * padding + member.content
        if member.descriptor is not None:
            body += member.descriptor
        elif member.content:
            body += b"PK\x07\x08" + struct.pack("<3L", crc, stored, size)
        entries.append(
            b"PK\x01\x02"
            + struct.pack("<6H3L", 0, 0, flags, member.method, 0, 0, crc, stored, size)
            + struct.pack("<5H", len(raw), len(member.extra), len(member.comment), 0, 0)
            + struct.pack("<2L", member.external, offset + member.moved)
            + raw
            + member.extra
            + member.comment
        )
    if disorder:
        entries[:2] = entries[1::-1]
    directory = b"".join(entries)
    number, length, offset = len(entries) + count, len(directory), len(body)
    end64 = b"PK\x06\x06" + struct.pack("<Q2H2L4Q", 44, 0x31E, 45, 0, 0, number, number, length, offset)
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, offset + length, 1)
    end = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, number, number, length, offset, 0)
    return body + directory + end64 + locator + end + tail


def archive_of(contents: Contents) -> bytes:
    return zipped(Member(f"archive/{name}", content) for name, content in contents.items())


def contents_of(archive: bytes) -> Contents:
    """Read an archive by another's reader."""
    with zipfile.ZipFile(io.BytesIO(archive)) as reader:
        return {name.split("/", 1)[1]: reader.read(name) for name in reader.namelist()}


def without_debug_files(archive: bytes) -> Contents:
    """Leave out what soaflow's exports leave out."""
    unwanted = (".debug_pkl", ".cpp", ".kernel_metadata.json")
    return {name: content for name, content in contents_of(archive).items() if not name.endswith(unwanted)}


@pytest.fixture(scope="session")
def program() -> bytes:
    torch.manual_seed(1)
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3), nn.ReLU()).eval()
    rows = torch.export.Dim("B", min=1, max=1000)
    exported = torch.export.export(model, (torch.ones(5, 4),), dynamic_shapes=({0: rows},))
    stream = io.BytesIO()
    torch.export.save(exported, stream)
    return stream.getvalue()


class Everything:
    """What TorchScript keeps in its pickles, one attribute for each."""

    lists = ([1, 2], [1.5], [True], ["text"], [(1, 2)])
    others = (("s", 3, None, True, 1.5), "text", -5, 2**40, {1: "a"}, 1 + 2j)


def torchscript(*, frozen: bool) -> bytes:
    class Kept(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)
            for number, value in enumerate((*Everything.lists, *Everything.others)):
                setattr(self, f"kept_{number}", value)
            self.tensors = {"x": torch.ones(3, dtype=torch.bfloat16)}
            self.device = torch.device("cpu")

        def forward(self, x):
            y = (
                self.layer(x)
                + self.tensors["x"].to(self.device)
                + self.kept_0[0]
                + self.kept_1[0]
                + self.kept_7
            )
            return (
                y + len(self.kept_2) + len(self.kept_3) + len(self.kept_4) + len(self.kept_6) + self.kept_5[1]
            )

    module = torch.jit.script(Kept().eval())
    stream = io.BytesIO()
    torch.jit.save(torch.jit.freeze(module) if frozen else module, stream)
    return archive_of(without_debug_files(stream.getvalue()))


@pytest.fixture(scope="session")
def jit() -> bytes:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        return torchscript(frozen=True)


@pytest.fixture(scope="session")
def unfrozen_jit() -> bytes:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        return torchscript(frozen=False)


def package(*models: str, device: str = "cpu") -> Contents:
    """Return a package of AOTInductor with libraries that are none."""
    contents: Contents = {}
    for model in models:
        folder = f"data/aotinductor/{model}/model.wrapper"
        contents[f"{folder}_metadata.json"] = json.dumps({"AOTI_DEVICE_KEY": device}).encode()
        contents[f"{folder}.so"] = b"\x7fELF" + model.encode() * 50
    return contents | PACKAGE


@pytest.fixture(scope="session")
def archives(program: bytes, jit: bytes) -> dict[str, bytes]:
    """One archive a kind."""
    return {
        PROGRAM: program,
        JIT: jit,
        AOT: archive_of(package("model")),
        FAT: archive_of(package("x86-64-v2", "x86-64-v3", "cuda-sm_90")),
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def written(archive: bytes) -> Path:
        path = tmp_path / "artifact.pt"
        path.write_bytes(archive)
        return path

    return written


KINDS = (PROGRAM, JIT, AOT, FAT)
kinds = pytest.mark.parametrize("kind", KINDS)


# What torch writes is accepted.


def test_archives_made_here_are_those_that_torch_writes():
    stream = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(stream)
    contents = {"data/x": b"abc", "empty": b"", "y": bytes(1000)}
    for name, content in contents.items():
        writer.write_record(name, content, len(content))
    writer.write_end_of_file()
    archive = stream.getvalue()
    assert archive == archive_of(contents_of(archive))
    assert {name: bytes(content) for name, content in archive_members(archive, "x").items()} == contents_of(
        archive
    )


@kinds
def test_an_archive_of_each_kind_is_accepted_with_soaflows_description(kind, archives, write):
    contents = contents_of(archives[kind])
    sizes = {name: len(content) for name, content in contents.items()}
    path = write(archives[kind])
    assert check_archive(path, kind) == sizes
    assert read_members(path) == sizes
    described = write(archive_of({**contents, DESCRIPTION: b"{}"}))
    assert check_archive(described, kind) == {**sizes, DESCRIPTION: 2}


def test_torchscript_with_all_kinds_of_attributes_is_accepted(unfrozen_jit, write):
    check_archive(write(unfrozen_jit), JIT)
    found = contents_of(unfrozen_jit)["data.pkl"]
    assert b"restore_type_tag" in found
    assert b"builtins\ncomplex" in found


@pytest.mark.compile
def test_a_compiled_package_is_accepted(program, write, tmp_path):
    built = tmp_path / "built.pt2"
    with torch_deprecations_ignored(), torch.no_grad():
        exported = torch.export.load(io.BytesIO(program))
        torch._inductor.aoti_compile_and_package(exported, package_path=str(built))
    contents = without_debug_files(built.read_bytes())
    assert any(name.endswith(".so") for name in check_archive(write(archive_of(contents)), AOT))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_package_has_no_kernel_beside_its_library(write, device):
    check_archive(write(archive_of(package("model", device=device))), AOT)
    kernel = {"data/aotinductor/model/triton.cubin": b"\x7fELF"}
    with pytest.raises(ArtifactError, match=r"triton\.cubin', which no AOT artifact has"):
        check_archive(write(archive_of(kernel | package("model", device=device))), AOT)


def test_the_calls_beside_a_library_are_of_operators_of_torch(write):
    made = package("model", device="cuda")
    (library,) = (name for name in made if name.endswith(".so"))
    for target in ("aten::index_add", "mine::index_add"):
        calls = json.dumps({"nodes": [{"node": {"target": target}}]}).encode()
        path = write(archive_of(made | {f"{library.removesuffix('.so')}.json": calls}))
        with (
            pytest.raises(ArtifactError, match="has the operator 'mine::index_add'")
            if target.startswith("mine")
            else contextlib.nullcontext()
        ):
            check_archive(path, AOT)


def test_the_source_that_some_versions_of_torch_look_for_is_empty(write):
    made = package("model")
    (library,) = (name for name in made if name.endswith(".so"))
    source = f"{library.removesuffix('.so')}.cpp"
    check_archive(write(archive_of(made | {source: b""})), AOT)
    with pytest.raises(ArtifactError, match=r"\.cpp', which no AOT artifact has"):
        check_archive(write(archive_of(made | {source: b"int main() {}"})), AOT)


def test_reading_loads_no_torch(archives, tmp_path):
    for kind, archive in archives.items():
        (tmp_path / kind).write_bytes(archive)
    code = (
        "import sys; from soaflow.archives import check_archive\n"
        "for kind in sys.argv[2:]: check_archive(f'{sys.argv[1]}/{kind}', kind)\n"
        "print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), *archives], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]


def test_a_member_is_read_up_to_a_size(write):
    path = write(archive_of(SMALL))
    assert read_member(path, "data/x", 3) == b"abc"
    with pytest.raises(ArtifactError, match="'data/x' of 3 bytes, and 2 are the most"):
        read_member(path, "data/x", 2)
    with pytest.raises(ArtifactError, match="no member 'data/z'"):
        read_member(path, "data/z", 2)


# Zips that are not as torch writes them.

A, B = Member("archive/a"), Member("archive/b", b"other content")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("archive/../../etc/passwd", "leads out of its folder"),
        ("archive/./a", "leads out of its folder"),
        ("/etc/passwd", "absolute path"),
        ("C:/archive/a", "absolute path"),
        ("archive\\a", "backslash"),
        ("archive//a", "empty part"),
        ("archive/folder/", "is a folder"),
        ("a", "in no folder"),
        ("other/a", "outside the folder 'archive'"),
        ("archive/a\0b", "letters, digits"),
        ("archive/a\nb", "letters, digits"),
        ("archive/a\x1b[2J", "letters, digits"),
        ("archive/a:stream", "letters, digits"),
        ("archive/\N{LATIN SMALL LETTER E WITH ACUTE}", "letters, digits"),
        ("archive/\N{RIGHT-TO-LEFT OVERRIDE}a", "letters, digits"),
        ("archive/" + "a" * MAX_NAME, "more than 400 characters"),
        ("archive/b", "twice"),
        ("archive/B", "twice"),
        ("archive/b/a", "a file and a folder"),
    ],
)
def test_an_unsafe_name_is_refused(name, words, write):
    with pytest.raises(ArtifactError, match=words) as caught:
        read_members(write(zipped([B, Member(name)])))
    message = str(caught.value)
    assert "artifact.pt" in message
    assert message.isprintable()
    assert message.isascii()


SPAN = 64 + 7 + 16
"""Bytes from the header of A to what follows it: header, name and padding; content; data descriptor."""


def with_changed(**changes: object) -> bytes:
    return zipped([A, dataclasses.replace(B, **changes)])


FAULTS = {
    "compressed": (with_changed(method=8), "'archive/b' that is compressed"),
    "encrypted": (with_changed(flags=0x809), "'archive/b' that is encrypted"),
    "strongly encrypted": (with_changed(flags=0x848), "'archive/b' that is encrypted"),
    "symbolic link": (with_changed(external=0o120777 << 16), "'archive/b' that is a symbolic link"),
    "attributes": (with_changed(external=0o100644 << 16), "that torch does not write"),
    "two sizes": (with_changed(stored=3), "'archive/b' that has two sizes"),
    "huge": (with_changed(size=2**32 - 1), "'archive/b' that reaches into the directory"),
    "wrong CRC": (with_changed(crc=7), "corrupt in its member 'archive/b', whose CRC-32 differs"),
    "own name": (
        with_changed(own_name="archive/c"),
        "'archive/b' that is called b'archive/c' in its own header",
    ),
    "own longer name": (with_changed(own_name="archive/bb"), "whose own header torch does not write"),
    "own padding": (with_changed(padding=b"Y"), "whose own header torch does not write"),
    "no UTF-8 flag": (
        with_changed(flags=0x8),
        "directory entry for member 'archive/b' that torch does not write",
    ),
    "ZIP64 field": (with_changed(extra=struct.pack("<2HQ", 1, 8, 0)), "that torch does not write"),
    "comment": (with_changed(comment=b"hello"), "that torch does not write"),
    "descriptor": (
        with_changed(descriptor=b"PK\x07\x08" + bytes(12)),
        "'archive/b' whose data descriptor contradicts",
    ),
    "no descriptor": (with_changed(descriptor=b""), "'archive/b' that reaches into the directory"),
    "overlap": (with_changed(moved=-64), "'archive/b' that overlaps another"),
    "same bytes twice": (
        zipped([A, dataclasses.replace(A, name="archive/b", moved=-SPAN)]),
        "'archive/b' that overlaps another",
    ),
    "beyond the end": (with_changed(moved=10**6), "'archive/b' that has unknown bytes in front"),
    "gap": (with_changed(front=b"hidden"), "'archive/b' that has unknown bytes in front"),
    "data in front": (zipped([dataclasses.replace(A, front=b"#!/bin/sh\n"), B]), "is not a zip archive"),
    "member in front": (
        zipped([A])[: zipped([A]).index(b"PK\x01\x02")] + zipped([A, B]),
        "'archive/a' that overlaps|unknown bytes|reaches beyond|breaks off",
    ),
    "disorder": (zipped([A, B], disorder=True), "unknown bytes in front"),
    "hidden member": (zipped([A, B], count=-1), "unknown bytes between its members and its directory"),
    "one too many": (zipped([A, B], count=1), "directory that breaks off at member 3 of 3"),
    "trailing bytes": (zipped([A, B], tail=b"x"), "cut or something follows"),
    "zip behind zip": (zipped([A, B]) + zipped([A]), "unknown bytes|breaks off|overlaps|in front"),
    "two end records": (zipped([A, B], tail=zipped([A, B])[-22:]), "end records that contradict"),
    "cut": (zipped([A, B])[:-1], "cut or something follows"),
    "no members": (zipped([]), "is not a zip archive"),
    "empty file": (b"", "is not a zip archive"),
    "text": (b"hello", "is not a zip archive"),
    "only a sign": (b"PK\x03\x04", "cut or something follows"),
    "too many": (
        zipped([A] * 1)[:-22] + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 9, 0, 0),
        "65535",
    ),
    "not text": (zipped([A, B]).replace(b"archive/b", b"archive/\xff"), "whose name is not text"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_zip_that_torch_does_not_write_is_refused(fault, write):
    archive, words = FAULTS[fault]
    assert read_members(write(zipped([A, B]))) == {"a": 7, "b": 13}
    with pytest.raises(ArtifactError, match=words):
        read_members(write(archive))


def test_an_end_record_for_other_readers_is_refused(write):
    archive = zipped([A, B])
    for place, field in ((len(archive) - 98, "ZIP64 end record"), (len(archive) - 42, "its locator")):
        for offset in range(8, 20):
            changed = bytearray(archive)
            changed[place + offset] ^= 1
            with pytest.raises(ArtifactError, match="end records that contradict"):
                read_members(write(bytes(changed)))
            assert field
    comment = archive[:-2] + b"\x05\0hello"
    with pytest.raises(ArtifactError, match="cut or something follows"):
        read_members(write(comment))


def test_a_bomb_is_refused_without_being_unpacked(write):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as bomb:
        bomb.writestr("archive/data.pkl", bytes(100_000_000))
    path = write(stream.getvalue())
    assert path.stat().st_size < 200_000
    assert peak_memory(lambda: read_members(path)) < 4 * path.stat().st_size + 100_000


def test_a_repacked_archive_and_other_formats_are_refused(archives, write, tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as repacked:
        for name, content in contents_of(archives[JIT]).items():
            repacked.writestr(f"archive/{name}", content)
    with pytest.raises(ArtifactError, match="torch does not write"):
        check_archive(write(stream.getvalue()), JIT)
    legacy = tmp_path / "legacy.pt"
    torch.save({"a": torch.ones(2)}, legacy, _use_new_zipfile_serialization=False)
    with pytest.raises(ArtifactError, match="is not a zip archive"):
        check_archive(legacy, JIT)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="No such file"):
        read_members(tmp_path / "nothing.pt")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ArtifactError, match="is not a file"):
            read_members(path)
    great = tmp_path / "great.pt"
    great.touch()
    os.truncate(great, 2**32)
    with pytest.raises(ArtifactError, match="larger than 4 GiB"):
        read_members(great)


def test_many_members_are_read_and_too_many_are_not(write):
    names = [Member(f"archive/{number}", b"") for number in range(MAX_MEMBERS + 1)]
    assert len(read_members(write(zipped(names[:1000])))) == 1000
    with pytest.raises(ArtifactError, match="20001 members, not 1 to 20000"):
        read_members(write(zipped(names)))


# Fuzz.


def peak_memory(call: Callable[[], object]) -> int:
    """Return the most bytes that Python holds more while it calls what may refuse."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        with contextlib.suppress(ArtifactError):
            call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_no_bit_of_an_archive_can_be_flipped():
    archive = archive_of(SMALL)
    for position in range(len(archive)):
        for bit in range(8):
            flipped = bytearray(archive)
            flipped[position] ^= 1 << bit
            with pytest.raises(ArtifactError):
                archive_members(bytes(flipped), "x")


@kinds
@FUZZ
@given(data=st.data())
def test_no_bit_of_an_artifact_can_be_flipped(kind, archives, write, data):
    flipped = bytearray(archives[kind])
    position = data.draw(st.integers(0, 8 * len(flipped) - 1))
    flipped[position // 8] ^= 1 << position % 8
    path = write(bytes(flipped))
    with pytest.raises(ArtifactError):
        read_members(path)


def test_an_archive_cut_anywhere_is_refused():
    archive = archive_of(SMALL)
    for length in range(len(archive)):
        with pytest.raises(ArtifactError):
            archive_members(archive[:length], "x")
        with pytest.raises(ArtifactError):
            archive_members(archive[len(archive) - length :], "x")


SNIPPETS = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.sampled_from(
        [b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x07\x08"]
    ),
    st.sampled_from([b"\0\0", b"\xff\xff\xff\xff", b"\0" * 8, b"../", b"/", b"archive/"]),
)


@st.composite
def mutations(draw: st.DrawFn, original: bytes) -> bytes:
    """Change, insert, delete or double pieces of some bytes."""
    changed = original
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(changed)))
        # The end of an archive and the head of a pickle hold more sense than the rest.
        place = draw(st.sampled_from([place, max(0, len(changed) - place % 400), place % 400]))
        stop = min(len(changed), place + draw(st.integers(0, 60)))
        piece = draw(
            st.one_of(SNIPPETS, st.just(b""), st.just(changed[place:stop]), st.just(2 * changed[place:stop]))
        )
        changed = (
            changed[:place] + piece + changed[draw(st.sampled_from([place, stop, place + len(piece)])) :]
        )
    return changed


@settings(FUZZ, max_examples=1500)
@given(mutations(archive_of(SMALL)))
def test_a_changed_archive_is_refused_or_reads_the_same(changed):
    contents: Contents = {}

    def read() -> None:
        contents.update((name, bytes(content)) for name, content in archive_members(changed, "x").items())

    assert peak_memory(read) < 4 * len(changed) + 100_000
    assert not contents or contents == SMALL


@kinds
@FUZZ
@given(data=st.data())
def test_a_member_with_any_content_is_refused_with_a_sentence_or_accepted(kind, archives, write, data):
    contents = contents_of(archives[kind])
    name = data.draw(st.sampled_from(sorted(contents)))
    if name.endswith("sample_inputs/model.pt"):
        inner = contents_of(contents[name])
        part = data.draw(st.sampled_from(sorted(inner)))
        changed = archive_of({**inner, part: data.draw(mutations(inner[part]))})
    else:
        changed = data.draw(mutations(contents[name]))
    path = write(archive_of({**contents, name: changed}))
    try:
        check_archive(path, kind)
    except ArtifactError as error:
        assert str(error).isprintable()  # noqa: PT017  what is raised is not the point


# Members that a kind must have, or may not.

REQUIRED = {
    PROGRAM: ("models/model.json", "data/sample_inputs/model.pt", "data/weights/model_weights_config.json"),
    JIT: ("data.pkl", "version", "byteorder"),
    AOT: ("archive_format", "data/aotinductor/model/model.wrapper_metadata.json"),
    FAT: ("archive_version", "data/aotinductor/x86-64-v3/model.wrapper_metadata.json"),
}
FOREIGN = {
    PROGRAM: (
        "data/weights/model.pt",
        "data/constants/opaque_obj_0",
        "data/constants/custom_obj_0",
        "models/b.json",
    ),
    JIT: ("attributes.pkl", "model.json", "code/__torch__.py.debug_pkl", "bytecode.pkl", "extra/run.pkl"),
    AOT: (
        "data/aotinductor/model/a.cpp",
        "data/aotinductor/model/a.o",
        "data/weights/weight_0",
        "models/model.json",
    ),
    FAT: ("data/aotinductor/model.so", "data/constants/custom_obj_0", "data/aotinductor/x86-64-v3/deep/b.so"),
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in REQUIRED[kind]])
def test_a_missing_member_is_named(kind, name, archives, write):
    contents = contents_of(archives[kind])
    del contents[name]
    with pytest.raises(ArtifactError, match=f"no member '{name}'"):
        check_archive(write(archive_of(contents)), kind)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in FOREIGN[kind]])
def test_a_wrong_member_is_named(kind, name, archives, write):
    contents = contents_of(archives[kind]) | {name: b"x"}
    with pytest.raises(ArtifactError, match=f"a member '{name}', which no .* has"):
        check_archive(write(archive_of(contents)), kind)


@pytest.mark.parametrize("kind", [PROGRAM, JIT, AOT])
@pytest.mark.parametrize("claimed", [PROGRAM, JIT, AOT])
def test_an_archive_of_another_kind_is_refused(kind, claimed, archives, write):
    if kind != claimed:
        with pytest.raises(ArtifactError, match=r"artifact\.pt has"):
            check_archive(write(archives[kind]), claimed)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data/aotinductor/model/second.so": b"\x7fELF"}, "2 shared libraries in 'data/aotinductor/model/'"),
        ({"data/aotinductor/model/model.wrapper.so": b"#!/bin/sh"}, "that is no shared library"),
        ({"data/aotinductor/model/model.wrapper_metadata.json": b"[]"}, "names no device"),
        ({"archive_format": b"pt3"}, "'archive_format' that is not 'pt2'"),
        ({"byteorder": b"big"}, "'byteorder' that is not 'little'"),
    ],
)
def test_a_package_with_other_contents_is_refused(changes, words, write):
    with pytest.raises(ArtifactError, match=words):
        check_archive(write(archive_of(package("model") | changes)), AOT)


def test_a_renamed_library_and_a_second_model_are_refused(write):
    contents = package("model")
    library = contents.pop("data/aotinductor/model/model.wrapper.so")
    for name in ("other.wrapper.so", "model.wrapper.SO", "model.wrapper.dll", "model.wrapper"):
        with pytest.raises(ArtifactError, match=r"0 shared libraries|no member '.*other\.wrapper_metadata"):
            check_archive(write(archive_of(contents | {f"data/aotinductor/model/{name}": library})), AOT)
    with pytest.raises(
        ArtifactError, match="the models model, x, and an AOT artifact has one called 'model'"
    ):
        check_archive(write(archive_of(package("model", "x"))), AOT)
    with pytest.raises(ArtifactError, match="no shared library"):
        check_archive(write(archive_of(PACKAGE)), FAT)


# What would be unpickled or evaluated.


class Planted:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("echo planted",)


REDUCE = pickle.dumps(Planted(), protocol=2)


@pytest.mark.parametrize("name", ["data.pkl", "constants.pkl"])
def test_torchscript_that_would_unpickle_is_refused(name, archives, write):
    contents = contents_of(archives[JIT])
    with pytest.raises(ArtifactError, match=f"'{name}' that would load 'posix.system"):
        check_archive(write(archive_of(contents | {name: REDUCE})), JIT)


@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"]
)
def test_example_inputs_of_each_dtype_are_accepted(dtype, program, write):
    stream = io.BytesIO()
    torch.save(((torch.zeros(3, 2, dtype=getattr(torch, dtype)).T,), {}), stream)
    contents = contents_of(program) | {"data/sample_inputs/model.pt": stream.getvalue()}
    check_archive(write(archive_of(contents)), PROGRAM)


def test_a_saved_model_that_is_called_torchscript_is_refused(write, tmp_path):
    path = tmp_path / "model.pt"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(ArtifactError, match=r"no TorchScript but a pickle of torch\.save"):
        check_archive(path, JIT)
    disguised = contents_of(path.read_bytes())
    disguised = {
        name: disguised[name] for name in disguised if name not in {".format_version", ".storage_alignment"}
    }
    disguised |= {"constants.pkl": b"\x80\x02).", "code/__torch__.py": b""}
    with pytest.raises(ArtifactError, match=r"would load 'torch\.nn\.modules\.linear\.Linear"):
        check_archive(write(archive_of(disguised)), JIT)


def test_torch_runs_what_is_planted_in_a_program_and_the_check_refuses_it(program, write, capfd, monkeypatch):
    """Shown with torch itself, as these checks are there for what torch does."""
    # It logs this with too few arguments, which fails.
    monkeypatch.setattr(logging.getLogger("torch._export.serde.serialize"), "disabled", True)
    contents = contents_of(program)
    graph = contents["models/model.json"].decode()
    stream = io.BytesIO()
    torch.save(Planted(), stream)
    size = json.loads(graph)
    for mapping in every_mapping(size):
        if "expr_str" in mapping:
            mapping["expr_str"] = "__import__('os').system('echo planted')"
    for changes, words in (
        ({"data/sample_inputs/model.pt": stream.getvalue()}, "would load 'posix.system"),
        ({"models/model.json": json.dumps(size).encode()}, "has the size"),
    ):
        path = write(archive_of(contents | changes))
        with pytest.raises((AssertionError, AttributeError)):
            torch.export.load(io.BytesIO(path.read_bytes()))
        assert "planted" in capfd.readouterr().out
        with pytest.raises(ArtifactError, match=words):
            check_archive(path, PROGRAM)
    assert "planted" not in capfd.readouterr().out


def every_mapping(value: object) -> Iterable[dict[str, object]]:
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from every_mapping(part)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"use_pickle": True}, "'weight_0' unpickled"),
        ({"path_name": "weight_99"}, "names 'weight_99', a tensor that is not in the file"),
        ({"path_name": "../../models/model.json"}, "a tensor that is not in the file"),
        ({"path_name": 5}, "names '5'"),
        ({"path_name": "weight_1"}, "does not name the tensor 'weight_0'"),
    ],
)
def test_a_configuration_that_does_not_fit_the_weights_is_refused(change, words, program, write):
    contents = contents_of(program)
    name = "data/weights/model_weights_config.json"
    configuration = json.loads(contents[name])
    entry = next(entry for entry in configuration["config"].values() if entry["path_name"] == "weight_0")
    entry.update(change)
    with pytest.raises(ArtifactError, match=words):
        check_archive(write(archive_of(contents | {name: json.dumps(configuration).encode()})), PROGRAM)


def test_an_empty_weight_of_a_great_size_is_refused(program, write):
    contents = contents_of(program) | {"data/weights/weight_0": b""}
    with pytest.raises(ArtifactError, match="gives a size to the empty tensor 'weight_0'"):
        check_archive(write(archive_of(contents)), PROGRAM)
