"""Each fault is planted alone in a sound artifact, which is then written as soaflow would write it."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import onnx
import pytest
from torch import nn

from soaflow.archives import check_archive
from soaflow.description import read_description
from soaflow.errors import ArtifactError
from soaflow.export.onnx import write_onnx
from soaflow.files import sha256_of_file
from soaflow.onnx_files import DESCRIPTION_KEY, OPSET, check_onnx, parse_onnx, serialized
from soaflow.passport import passport_path, read_passport, write_passport
from soaflow.soa.layout import Item, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
from soaflow.verification import examine, verify_artifact

LAYOUT = Layout.of(*(Item(name, "float32") for name in ("pt", "eta", "phi")))
SIGNATURE = Signature(
    (TensorInput("particles", "particles", LAYOUT, LAYOUT.names),),
    (TensorOutput("energy", ("energy",)),),
    Layout.of(Item("energy", "float32")),
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "Net.float32.onnx"
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)).eval()
    write_onnx(model, SIGNATURE, path, model_name="Net", dtype="float32", origin={})
    return path


@pytest.fixture
def artifact(sound, tmp_path):
    for path in (sound, passport_path(sound)):
        shutil.copy(path, tmp_path)
    return tmp_path / sound.name


def changed(path, change):
    """Change an artifact's model, and give its passport the new digest, as a forger would."""
    passport = read_passport(path)
    model = onnx.load(path, load_external_data=False)
    change(model)
    path.write_bytes(serialized(model))
    write_passport(path, replace(passport, sha256=sha256_of_file(path), size=path.stat().st_size))


def test_a_sound_artifact_tells_its_operators(sound):
    assert check_onnx(sound) == check_archive(sound, "onnx") == {"Gemm": 2, "Relu": 1}
    assert [finding.name for finding in examine(sound)] == ["passport", "sha256", "archive", "contract"]


def test_every_flipped_bit_is_refused(artifact):
    content = artifact.read_bytes()
    for position in range(0, len(content), max(1, len(content) // 40)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << (position % 8)
        artifact.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="as the SHA-256 differs"):
            verify_artifact(artifact)
    artifact.write_bytes(content)
    verify_artifact(artifact)


def custom_operator(model):
    model.graph.node[0].domain = "com.hostile"
    model.opset_import.add(domain="com.hostile", version=1)


def microsofts_operator(model):
    model.graph.node[1].op_type, model.graph.node[1].domain = "Gelu", "com.microsoft"


def unknown_operator(model):
    model.graph.node[1].op_type = "LoadLibrary"


def hidden_operator(model):
    branch = onnx.helper.make_graph(
        [onnx.helper.make_node("Run", ["x"], ["y"], domain="com.hostile")], "branch", [], []
    )
    model.graph.node.append(onnx.helper.make_node("If", ["c"], ["d"], then_branch=branch, else_branch=branch))


def another_version(model):
    model.opset_import[0].version = OPSET + 1


def external_weights(model):
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "/etc/passwd")


def external_constant(model):
    value = onnx.helper.make_tensor("secret", onnx.TensorProto.FLOAT, [1], bytes(4), raw=True)
    onnx.external_data_helper.set_external_data(value, "../secret")
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["c"], value=value))


def a_function(model):
    model.functions.add(name="Relu", domain="")


def runtime_settings(model):
    model.metadata_props.add(key="ort_config", value="{}")


def no_description(model):
    del model.metadata_props[:]


def sparse_weights(model):
    model.graph.sparse_initializer.add()


@pytest.mark.parametrize(
    ("change", "telling"),
    [
        (custom_operator, "operator 'com.hostile::Gemm', which is not one of ONNX's own"),
        (microsofts_operator, "operator 'com.microsoft::Gelu'"),
        (unknown_operator, "operator 'LoadLibrary'"),
        (hidden_operator, "operator 'com.hostile::Run'"),
        (another_version, f"must use version {OPSET}"),
        (external_weights, "in another file, and must hold it"),
        (external_constant, "tensor 'secret' in another file"),
        (a_function, "holds functions"),
        (runtime_settings, "properties 'soaflow', 'ort_config'"),
        (no_description, "the properties none"),
        (sparse_weights, "sparse weights"),
    ],
)
def test_what_soaflow_does_not_write_is_refused_even_with_a_fitting_passport(artifact, change, telling):
    changed(artifact, change)
    with pytest.raises(ArtifactError, match=telling) as raised:
        verify_artifact(artifact)
    assert str(artifact) in str(raised.value)


@pytest.mark.parametrize("more", [b"\xfa\x7f\x03abc", b"\x08\x0a"], ids=["unknown field", "field twice"])
def test_bytes_that_a_parse_forgets_are_refused(artifact, more):
    artifact.write_bytes(artifact.read_bytes() + more)
    with pytest.raises(ArtifactError, match="holds more than an ONNX model"):
        check_onnx(artifact)


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"\xff" * 64, b"\x0a\xff\xff\xff\xff\x0f"])
def test_what_is_no_onnx_is_refused(tmp_path, content):
    path = tmp_path / "Net.onnx"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="is no ONNX"):
        check_onnx(path)


def test_a_file_over_the_limit_is_not_read(artifact, monkeypatch):
    monkeypatch.setattr("soaflow.onnx_files.LARGEST_FILE", artifact.stat().st_size - 1)
    with pytest.raises(ArtifactError, match="are the most"):
        parse_onnx(artifact)


def test_a_description_that_is_missing_too_large_or_no_json_is_refused(artifact):
    def set_to(value):
        def change(model):
            model.metadata_props[0].value = value

        changed(artifact, change)

    set_to("{")
    with pytest.raises(ArtifactError, match=f"property '{DESCRIPTION_KEY}' is not JSON"):
        read_description(artifact)
    set_to(" " * ((1 << 20) + 1))
    with pytest.raises(ArtifactError, match="are the most it can be"):
        read_description(artifact)
    changed(artifact, no_description)
    with pytest.raises(ArtifactError, match="has 0 properties 'soaflow'"):
        read_description(artifact)


def test_another_description_than_the_passports_is_refused(artifact):
    def rename(model):
        entry = json.loads(model.metadata_props[0].value)
        model.metadata_props[0].value = json.dumps({**entry, "model": "Other"})

    changed(artifact, rename)
    with pytest.raises(ArtifactError, match="says something else of itself than its passport"):
        verify_artifact(artifact)


def test_verification_loads_neither_torch_nor_onnxruntime(sound):
    code = (
        "import sys; from soaflow.verification import verify_artifact; verify_artifact(sys.argv[1]); "
        "print(sorted({'torch', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, sound], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
