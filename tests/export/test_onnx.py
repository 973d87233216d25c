import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from soaflow.description import read_description
from soaflow.errors import ExportError
from soaflow.export.examples import CallShape, example_inputs
from soaflow.export.onnx import write_onnx
from soaflow.models.onnx_sessions import OnnxSession
from soaflow.onnx_files import parse_onnx
from soaflow.passport import check_against_schema
from soaflow.soa.tensors import row_major
from soaflow.verification import examine, verify_artifact


def write(model, case, path, dtype="float32"):
    return write_onnx(model, case.signature, path, model_name="Net", dtype=dtype, origin={})


@pytest.fixture(scope="session")
def onnx_file(case, tmp_path_factory):
    path = tmp_path_factory.mktemp(case.name) / f"{case.name}.float32.onnx"
    write_onnx(case.model, case.signature, path, model_name=case.name, dtype="float32", origin={})
    return path


def test_artifact_and_passport(case, onnx_file):
    passport = verify_artifact(onnx_file)
    check_against_schema(passport, onnx_file)
    assert (passport.description.kind, passport.description.model) == ("onnx", case.name)
    assert read_description(onnx_file) == passport.description
    assert {"torch", "onnx", "onnxruntime", "onnxscript"} <= set(passport.builds["onnx"].toolchain)
    assert all(finding.fits for finding in examine(onnx_file))


def test_another_number_of_rows_than_any_checked(case, onnx_file):
    inputs = example_inputs(case.signature, CallShape(509, 800, 7, 83, 96), 9)
    expected = case.model(*inputs)
    got = OnnxSession(onnx_file)(*map(row_major, inputs))
    for one, other in zip(expected if isinstance(expected, tuple) else (expected,), got, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_rows_are_named_as_in_the_contract(onnx_file):
    contract = read_description(onnx_file).contract
    assert contract["inputs_are"] == "row_major"
    for entry, value in zip(contract["inputs"], parse_onnx(onnx_file).graph.input, strict=True):
        sizes = [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        assert value.name == entry["name"]
        assert [str(size).partition("_")[0] for size in sizes] == [str(size) for size in entry["sizes"]]
        assert entry["strides"][-1] == 1
        assert "S" not in str(entry["strides"])


def test_no_path_of_this_machine_is_in_it(onnx_file):
    content = onnx_file.read_bytes()
    for folder in (Path(torch.__file__).parents[1], Path(__file__).parents[2], onnx_file.parent, Path.home()):
        assert str(folder).encode() not in content


class BakesBatch(nn.Module):
    def forward(self, momenta):
        return momenta[:, :2] / float(len(momenta.tolist()))


class BranchesOnSign(nn.Module):
    def forward(self, momenta):
        if (momenta < 0).any():
            return momenta[:, :2]
        return momenta[:, 2:]


class LeavesToNumpy(nn.Module):
    def forward(self, momenta):
        return torch.linalg.eigvals(momenta[:, :2, None] @ momenta[:, None, :2]).real


@pytest.mark.parametrize("model", [BakesBatch(), BranchesOnSign(), LeavesToNumpy()])
def test_what_cannot_be_exported_is_a_sentence_and_leaves_no_file(normalisation_case, tmp_path, model):
    with pytest.raises(ExportError, match=r"^model Net cannot be exported to ONNX: .*leave the onnx variant"):
        write(model, normalisation_case, tmp_path / "Net.onnx")
    assert not list(tmp_path.iterdir())


def test_a_faulty_export_is_caught(normalisation_case, tmp_path, monkeypatch):
    """One weight of the exported file differs from the eager model's."""
    serialize = sys.modules["soaflow.export.onnx"].serialized

    def perturbed(proto):
        weight = proto.graph.initializer[0]
        weight.raw_data = bytes(len(weight.raw_data) - 4) + weight.raw_data[-4:]
        return serialize(proto)

    monkeypatch.setattr("soaflow.export.onnx.serialized", perturbed)
    with pytest.raises(ExportError, match=r"ONNX artifact of model Net at .* differs"):
        write(normalisation_case.model, normalisation_case, tmp_path / "Net.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_precision_is_the_models_and_not_the_inputs(normalisation_case, tmp_path, dtype):
    path = tmp_path / "Net.onnx"
    write(normalisation_case.model, normalisation_case, path, dtype)
    (inputs,) = example_inputs(normalisation_case.signature, CallShape(23, 96), 9)
    assert inputs.dtype == torch.float32
    assert OnnxSession(path)(row_major(inputs))[0].dtype == getattr(torch, dtype)


def test_a_dtype_without_kernels_is_a_sentence(workshop, normalisation_case, tmp_path):
    convolution = workshop.case("ConvolutionFirst")
    for case, dtype in ((normalisation_case, "bfloat16"), (convolution, "float64")):
        telling = rf"^onnxruntime cannot run model Net in {dtype}: .*another dtype"
        with pytest.raises(ExportError, match=telling):
            write(case.model, case, tmp_path / "Net.onnx", dtype)
    assert not list(tmp_path.iterdir())


CODE = """
import sys, torch
from soaflow.export.onnx import write_onnx
from soaflow.models.multi_head_net import MultiHeadNet
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
torch.manual_seed(1)
layout = Layout.of(*(Item(name, "float32") for name in ("pt", "eta", "phi")))
outputs = Layout.of(Item("energy", "float32"), Item("classes", "float32", ItemKind.EIGEN, (3,)))
signature = Signature((TensorInput("particles", "particles", layout, layout.names),),
                      (TensorOutput("energy", ("energy",)), TensorOutput("classes", ("classes",))), outputs)
write_onnx(MultiHeadNet().eval(), signature, sys.argv[1], model_name="M", dtype="float32", origin={})
"""


def test_the_same_bytes_twice(tmp_path):
    paths = [tmp_path / "one" / "M.onnx", tmp_path / "two" / "M.onnx"]
    for seed, path in enumerate(paths):
        path.parent.mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        subprocess.run([sys.executable, "-c", CODE, path], check=True, env=environment, cwd=path.parent)
    assert paths[0].read_bytes() == paths[1].read_bytes()
