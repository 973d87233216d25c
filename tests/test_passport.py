import dataclasses
import json
import subprocess
import sys

import pytest

from soaflow.errors import ArtifactError
from soaflow.files import sha256_of_file
from soaflow.passport import Passport, passport_path, read_passport, verify_artifact, write_passport


@pytest.fixture
def artifact(tmp_path):
    path = tmp_path / "Net.float32.native.pt2"
    path.write_bytes(b"bytes of an artifact")
    passport = Passport(
        kind="aot",
        model="Net",
        dtype="float32",
        target="native",
        sha256=sha256_of_file(path),
        size=path.stat().st_size,
        signature={"inputs": []},
        contract={},
        origin={"program_sha256": "0" * 64},
        toolchain={"torch": "2.13.0"},
        options={"cpp.threads": 1},
        checks={"calls": 3},
    )
    write_passport(path, passport)
    return path


def edit(artifact, **changes):
    path = passport_path(artifact)
    entry = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in entry.items() if value is not ...}))


def test_round_trip(artifact):
    passport = verify_artifact(artifact)
    assert passport == read_passport(artifact)
    assert dataclasses.asdict(passport)["checks"] == {"calls": 3}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "schema version 2"),
        ({"model": ...}, "no field 'model'"),
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"size": "20"}, "field 'size' is '20', not an integer: export"),
        ({"target": 3}, "field 'target' is 3, not a text: export"),
        ({"size": True}, "field 'size' is True"),
        ({"checks": []}, r"field 'checks' is \[\], not a mapping: export"),
        ({"kind": "onnx"}, "program, jit, aot: export"),
    ],
)
def test_a_damaged_passport_is_refused(artifact, changes, message):
    edit(artifact, **changes)
    with pytest.raises(ArtifactError, match=message):
        verify_artifact(artifact)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00"])
def test_what_is_no_passport_is_refused(artifact, text):
    passport_path(artifact).write_text(text)
    with pytest.raises(ArtifactError, match=r"Net\.float32\.native\.pt2\.json"):
        read_passport(artifact)


def test_missing_files_are_named(artifact):
    passport_path(artifact).unlink()
    with pytest.raises(ArtifactError, match=r"no passport Net\.float32\.native\.pt2\.json"):
        verify_artifact(artifact)
    artifact.unlink()
    with pytest.raises(ArtifactError, match="is not there: export it first"):
        verify_artifact(artifact)


@pytest.mark.parametrize("content", [b"", b"bytes of an artifacT", b"bytes of an artifact "])
def test_other_bytes_are_refused(artifact, content):
    artifact.write_bytes(content)
    with pytest.raises(ArtifactError, match="SHA-256"):
        verify_artifact(artifact)


def test_the_module_is_light():
    code = "import sys, soaflow.passport; print(sorted({'torch', 'numpy', 'jsonschema'} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )
