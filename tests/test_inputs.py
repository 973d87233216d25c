import os
import shutil

import pytest

from soaflow.errors import OutputError, StorageError
from soaflow.files import replacing, write_text
from soaflow.inputs import reading, require_unchanged

SENTENCE = r"events\.h5 was changed while it was read, .*: run the same command again"


def replace(path):
    new = path.with_name("new")
    new.write_bytes(path.read_bytes())
    shutil.copystat(path, new)
    new.replace(path)


def rewrite(path):
    held = path.read_bytes()
    with path.open("r+b") as stream:
        stream.write(bytes(byte ^ 1 for byte in held))
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))


def cut(path):
    status = path.stat()
    os.truncate(path, 2)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def remove(path):
    path.unlink()


@pytest.mark.parametrize("change", [replace, rewrite, cut, remove])
def test_nothing_is_written_of_an_input_that_changed(tmp_path, change):
    events, output = tmp_path / "events.h5", tmp_path / "out.txt"
    events.write_text("events")
    output.write_text("before")

    def job():
        with reading([events]), replacing(output) as temporary:
            temporary.write_text(events.read_text())
            change(events)

    with pytest.raises(StorageError, match=SENTENCE):
        job()
    assert output.read_text() == "before"
    assert {path.name for path in tmp_path.iterdir()} <= {"events.h5", "out.txt"}


def test_what_a_changed_input_makes_a_reader_stumble_over_is_named_after_its_cause(tmp_path):
    events = tmp_path / "events.h5"
    events.write_text("events")

    def stumble():
        with reading([events]):
            cut(events)
            raise IndexError

    with pytest.raises(StorageError, match=SENTENCE) as caught:
        stumble()
    assert isinstance(caught.value.__cause__, IndexError)


def test_other_errors_stay_what_they_are(tmp_path):
    events = tmp_path / "events.h5"
    events.write_text("events")
    with pytest.raises(IndexError), reading([events]):
        raise IndexError
    with pytest.raises(OutputError), reading([events, tmp_path / "missing.h5"]):
        raise OutputError("full")
    require_unchanged()


def test_reading_a_file_changes_nothing(tmp_path):
    events = tmp_path / "events.h5"
    events.write_text("events")
    with reading([events, tmp_path / "missing.h5"]):
        events.read_text()
        write_text(tmp_path / "out.txt", "x")
    assert (tmp_path / "out.txt").read_text() == "x"


def test_inputs_add_up_and_end_with_their_block(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("1")
    second.write_text("2")
    with reading([first]):
        with reading([second]):
            pass
        second.write_text("22")
        require_unchanged()

    def change_the_outer():
        with reading([first]), reading([second]):
            first.write_text("11")
            require_unchanged()

    with pytest.raises(StorageError, match="first was changed"):
        change_the_outer()
