import dataclasses
import json

import pytest

from soaflow.archives import DESCRIPTION
from soaflow.description import LARGEST, Description, read_description
from soaflow.errors import ArtifactError
from soaflow.export.archives import described, write_records

DESCRIBED = Description("jit", "Net", "float32", (), "", {"inputs": []}, {"outputs": []}, {"seed": 3})
RECORDS = {"data.pkl": b"none"}


@pytest.fixture
def artifact(tmp_path):
    path = tmp_path / "Net.float32.pt"
    path.write_bytes(described(RECORDS, DESCRIBED))
    return path


def holding(path, content):
    path.write_bytes(write_records({**RECORDS, DESCRIPTION: content}))
    return path


@pytest.mark.parametrize(
    "description",
    [
        DESCRIBED,
        dataclasses.replace(DESCRIBED, kind="program"),
        dataclasses.replace(DESCRIBED, kind="aot", targets=("native",), profile="latency"),
        dataclasses.replace(DESCRIBED, kind="aot", targets=("cuda-sm_90",), profile="throughput"),
        dataclasses.replace(DESCRIBED, kind="fat", targets=("x86-64-v2",), profile="latency"),
        dataclasses.replace(DESCRIBED, kind="fat", targets=("x86-64-v2", "x86-64-v4"), profile="latency"),
    ],
    ids=lambda description: f"{description.kind}-{len(description.targets)}",
)
def test_round_trip(description, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(described(RECORDS, description))
    assert read_description(path) == description
    assert read_description(path).to_json() == description.to_json()


def test_the_bytes_do_not_depend_on_the_order_of_keys():
    other = dataclasses.replace(DESCRIBED, origin={"seed": 3, "arguments": {}})
    turned = dataclasses.replace(DESCRIBED, origin={"arguments": {}, "seed": 3})
    assert other.to_json() == turned.to_json() != DESCRIBED.to_json()


def test_a_description_replaces_one_that_is_there(artifact):
    other = dataclasses.replace(DESCRIBED, model="Other")
    archive = described({**RECORDS, DESCRIPTION: DESCRIBED.to_json()}, other)
    artifact.write_bytes(archive)
    assert read_description(artifact) == other


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "tvm"}, "field 'kind' is 'tvm', not one of program, jit, aot, fat, onnx"),
        ({"kind": ["jit"]}, r"field 'kind' is \['jit'\], not a text"),
        ({"model": ...}, "no field 'model'"),
        ({"colour": 1}, "unknown field 'colour'"),
        ({"model": 3}, "field 'model' is 3, not a text"),
        ({"targets": "native"}, "field 'targets' is 'native', not a list"),
        ({"targets": [3]}, r"field 'targets' is \[3\], not texts"),
        ({"signature": []}, r"field 'signature' is \[\], not a mapping"),
        ({"origin": None}, "field 'origin' is None, not a mapping"),
        ({"targets": ["native"]}, "targets are native, and kind jit has none"),
        ({"kind": "program", "targets": ["native"]}, "targets are native, and kind program has none"),
        ({"kind": "aot"}, "targets are none, and kind aot has one"),
        ({"kind": "aot", "targets": ["native", "x86-64-v3"]}, "kind aot has one"),
        ({"kind": "aot", "targets": ["avx2"]}, "there is no target 'avx2'"),
        ({"kind": "aot", "targets": ["fat"]}, "there is no target 'fat'"),
        ({"kind": "fat"}, "targets are none, and kind fat has levels"),
        ({"kind": "fat", "targets": ["native"]}, "targets are native, and kind fat has levels"),
        ({"kind": "fat", "targets": ["x86-64-v3", "x86-64-v2"]}, "levels of x86-64, lowest first"),
        ({"kind": "fat", "targets": ["x86-64-v3", "x86-64-v3"]}, "levels of x86-64, lowest first"),
        ({"kind": "fat", "targets": ["x86-64-v3", "cuda-sm_90"]}, "levels of x86-64, lowest first"),
    ],
)
def test_a_wrong_description_is_refused(artifact, changes, message):
    entry = {**DESCRIBED.to_mapping(), **changes}
    content = json.dumps({key: value for key, value in entry.items() if value is not ...}).encode()
    with pytest.raises(ArtifactError, match=message) as caught:
        read_description(holding(artifact, content))
    assert str(artifact) in str(caught.value)
    assert str(caught.value).endswith(": export it again")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not JSON: export it again"),
        (b"", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"9" * 10_000, "is not JSON"),
        (b"[]", "is not a mapping"),
        (b"null", "is not a mapping"),
        (b"{}", "no field 'contract'"),
        (b" " * (LARGEST + 1), f"{LARGEST} are the most it can be"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_what_is_no_description_is_refused(artifact, content, message):
    with pytest.raises(ArtifactError, match=message):
        read_description(holding(artifact, content))


def test_an_archive_without_a_description_is_refused(artifact):
    artifact.write_bytes(write_records(RECORDS))
    with pytest.raises(ArtifactError, match=r"has no member 'extra/soaflow\.json': export it again"):
        read_description(artifact)


def test_what_is_no_archive_is_refused(artifact):
    artifact.write_bytes(b"PK\x03\x04")
    with pytest.raises(ArtifactError, match=r"Net\.float32\.pt"):
        read_description(artifact)
