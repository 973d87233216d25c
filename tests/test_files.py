import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from soaflow.errors import OutputError, StorageError
from soaflow.files import check_not_inputs, read_json, replacing, sha256_of_file, write_json, write_text


def write_half_and_raise(path: Path, error: BaseException) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise error


def test_a_file_appears_whole_when_the_block_succeeds(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent
        assert temporary.name.startswith(".")
    assert path.read_text() == "half"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_a_failed_block_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(error):
        write_half_and_raise(path, error())
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("name", ["model.pt2", "model.float32.pt2", "a.b.c.json"])
def test_the_temporary_name_keeps_the_suffix(tmp_path, name):
    with replacing(tmp_path / name) as temporary:
        assert temporary.suffix == (tmp_path / name).suffix
        temporary.touch()


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        *(
            (number, "free space or choose another folder")
            for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        ),
        *(
            (number, "get the right to write there or choose another folder")
            for number in (errno.EACCES, errno.EROFS)
        ),
        (errno.EIO, "choose another folder"),
        (errno.EISDIR, "move away the folder of that name or choose another name"),
        (errno.ENAMETOOLONG, "choose a shorter name"),
    ],
)
def test_a_refused_write_is_a_sentence_with_the_remedy(tmp_path, number, remedy):
    path = tmp_path / "a.txt"
    with pytest.raises(OutputError) as caught:
        write_half_and_raise(path, OSError(number, os.strerror(number)))
    assert str(caught.value) == f"{path} cannot be written: {os.strerror(number)}; {remedy}"
    assert list(tmp_path.iterdir()) == []


def test_hdf5_tells_the_reason_in_its_text(tmp_path):
    text = "Can't decrement id ref count (unable to extend file properly, errno = 27, error message = 'a')"
    with pytest.raises(OutputError, match="cannot be written: File too large"), replacing(tmp_path / "a"):
        raise RuntimeError(text)


def test_other_errors_of_the_block_are_not_the_outputs(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "out" / "a.txt"):
        (tmp_path / "in" / "missing.txt").read_text()
    with pytest.raises(StorageError, match=r"missing\.json"), replacing(tmp_path / "a.txt"):
        read_json(tmp_path / "missing.json")
    with pytest.raises(RuntimeError, match="something else"), replacing(tmp_path / "a.txt"):
        raise RuntimeError("something else")


def test_a_full_disk_is_a_sentence_for_every_kind_of_writer(small_disk):
    torch = pytest.importorskip("torch")
    writers = {
        "text": lambda path: path.write_text("x" * 200_000),
        "torch": lambda path: torch.save({"weight": torch.zeros(100_000)}, path),
    }
    with small_disk(64) as folder:
        for name, write in writers.items():
            with (
                pytest.raises(OutputError, match=f"{name} cannot be written: No space left on device"),
                replacing(folder / name) as temporary,
            ):
                write(temporary)
            assert list(folder.iterdir()) == []
        (folder / "filler").write_bytes(bytes(64 * 1024))
        with pytest.raises(OutputError, match=r"a\.txt cannot be written: No space left on device"):
            write_text(folder / "a.txt", "x")


def test_a_folder_that_is_not_writable_is_a_sentence(tmp_path, small_disk):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "a.txt", tmp_path / "file" / "deeper" / "a.txt"):
        with pytest.raises(OutputError, match=r"a\.txt cannot be written: (Not a directory|File exists)"):
            write_text(path, "x")
    with pytest.raises(OutputError, match="cannot be written: File name too long"):
        write_text(tmp_path / ("x" * 255), "x")
    (tmp_path / "folder.txt" / "full").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"folder\.txt cannot be written: Is a directory; move"):
        write_text(tmp_path / "folder.txt", "x")
    assert {entry.name for entry in tmp_path.iterdir()} == {"file", "folder.txt"}
    with (
        small_disk(64, "ro") as folder,
        pytest.raises(OutputError, match=r"a\.txt cannot be written: Read-only file system"),
    ):
        write_text(folder / "a.txt", "x")


def test_writers_of_one_path_do_not_mix_their_bytes(tmp_path):
    path, texts = tmp_path / "a.txt", [str(index) * 100_000 for index in range(8)]
    writers = [threading.Thread(target=write_text, args=(path, text)) for text in texts]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert path.read_text() in texts
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_an_output_may_not_be_an_input(tmp_path):
    (tmp_path / "a.h5").write_text("events")
    (tmp_path / "b.h5").symlink_to("a.h5")
    check_not_inputs([tmp_path / "new.h5"], [tmp_path / "a.h5", tmp_path / "missing.h5"])
    for output in ("a.h5", "b.h5"):
        with pytest.raises(OutputError, match=rf"{output} would replace .*a\.h5, which is read"):
            check_not_inputs([tmp_path / "new.h5", tmp_path / output], [tmp_path / "a.h5"])


def test_json_is_the_same_whatever_the_order_of_its_keys(tmp_path):
    write_json(tmp_path / "a.json", {"b": [1, 2], "a": {"d": 1.5, "c": "µ"}})
    write_json(tmp_path / "b.json", {"a": {"c": "µ", "d": 1.5}, "b": [1, 2]})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.json").read_bytes().endswith(b"}\n")
    assert read_json(tmp_path / "a.json") == {"a": {"c": "µ", "d": 1.5}, "b": [1, 2]}


def test_json_cannot_hold_what_is_not_a_number(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", b"[" * 100_000])
def test_what_is_not_json_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(StorageError, match=r"a\.json cannot be read as JSON"):
        read_json(tmp_path / "a.json")


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "a.bin").write_bytes(bytes(range(256)) * 1000)
    assert sha256_of_file(tmp_path / "a.bin") == hashlib.sha256(bytes(range(256)) * 1000).hexdigest()
    with pytest.raises(StorageError, match=r"missing\.bin cannot be read: No such file"):
        sha256_of_file(tmp_path / "missing.bin")
