import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from soaflow.description import read_description
from soaflow.errors import ArtifactError, ExportError, ModelError, OutputError
from soaflow.export.check import as_tensors, returning
from soaflow.export.examples import CallShape, example_inputs
from soaflow.export.program import eager_program, read_program, write_program
from soaflow.passport import read_passport
from soaflow.soa.signature import Signature
from soaflow.verification import verify_artifact


def write(model, case, path, dtype="float32"):
    return write_program(
        model, case.signature, path, model_name="Net", dtype=dtype, origin={"weights_sha256": "0" * 64}
    )


def run(path, signature, inputs):
    """Return a program's outputs, which it stores where it is told."""
    outputs_are = read_description(path).contract["outputs_are"]
    return returning(eager_program(read_program(path)), signature, outputs_are)(*inputs)


def test_program_and_passport(case, program_file):
    passport = verify_artifact(program_file)
    description, build = passport.description, passport.builds["program"]
    assert (description.kind, description.model, description.targets) == ("program", case.name, ())
    assert read_description(program_file) == description
    assert Signature.from_mapping(description.signature) == case.signature
    assert build.toolchain["torch"] == torch.__version__
    assert build.checks["largest_difference"].keys() == {output.name for output in case.signature.outputs}
    inputs = example_inputs(case.signature, CallShape(23, 96, 3, 50, 64), 9)
    with torch.no_grad():
        got = run(program_file, case.signature, inputs)
        torch.testing.assert_close(tuple(got), as_tensors(case.model(*inputs)))


def test_no_path_of_this_machine_is_in_it(program_file):
    content = program_file.read_bytes() + program_file.with_name(program_file.name + ".json").read_bytes()
    for folder in (
        Path(torch.__file__).parents[1],
        Path(__file__).parents[2],
        program_file.parent,
        Path.home(),
    ):
        assert str(folder).encode() not in content


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_precision_is_the_models_and_not_the_inputs(normalisation_case, tmp_path, dtype):
    path = tmp_path / "Net.pt2"
    assert write(normalisation_case.model, normalisation_case, path, dtype).description.dtype == dtype
    inputs = example_inputs(normalisation_case.signature, CallShape(23, 96), 9)
    assert inputs[0].dtype == torch.float32
    (got,) = run(path, normalisation_case.signature.computed_in(dtype), inputs)
    assert got.dtype == (torch.float64 if dtype == "float64" else torch.float32), "as its item is stored"
    assert torch.equal(got, got.to(getattr(torch, dtype)).to(got.dtype))
    assert torch.equal(got, got.float()) == (dtype != "float64")
    assert next(normalisation_case.model.parameters()).dtype == torch.float32


CODE = """
import sys, torch
from soaflow.export.program import write_program
from soaflow.models.multi_head_net import MultiHeadNet
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
torch.manual_seed(1)
layout = Layout.of(*(Item(name, "float32") for name in ("pt", "eta", "phi")))
outputs = Layout.of(Item("energy", "float32"), Item("classes", "float32", ItemKind.EIGEN, (3,)))
signature = Signature((TensorInput("particles", "particles", layout, layout.names),),
                      (TensorOutput("energy", ("energy",)), TensorOutput("classes", ("classes",))), outputs)
write_program(MultiHeadNet().eval(), signature, sys.argv[1], model_name="M", dtype="float32", origin={})
"""


def test_the_same_bytes_twice(tmp_path):
    paths = [tmp_path / "one" / "M.pt2", tmp_path / "two" / "M.pt2"]
    for seed, path in enumerate(paths):
        path.parent.mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": str(seed + 1)}
        subprocess.run([sys.executable, "-c", CODE, path], check=True, env=environment, cwd=path.parent)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert read_passport(paths[0]).digest() == read_passport(paths[1]).digest()


class BakesBatch(nn.Module):
    def forward(self, momenta):
        return momenta.reshape(37, 4)[:, :2]


class BranchesOnValues(nn.Module):
    def forward(self, momenta):
        return momenta[:, :2] if momenta.sum() > 3 else momenta[:, 2:]


class TwoOutputs(nn.Module):
    def forward(self, momenta):
        return momenta[:, :2], momenta[:, 2:]


class Dictionary(nn.Module):
    def forward(self, momenta):
        return {"y": momenta[:, :2]}


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (BakesBatch(), ExportError, "model Net cannot be exported with symbolic rows"),
        (BranchesOnValues(), ExportError, "model Net cannot be exported with symbolic rows"),
        (TwoOutputs(), ModelError, "returned 2 outputs"),
        (Dictionary(), ModelError, "'y' is a dict"),
        (nn.Linear(4, 3), ModelError, r"'y' has shape \[37, 3\]"),
        (nn.Linear(3, 2), ModelError, r"momenta \[37, 4\]"),
    ],
)
def test_models_that_cannot_be_exported(normalisation_case, tmp_path, model, error, message):
    with pytest.raises(error, match=message):
        write(model.eval(), normalisation_case, tmp_path / "Net.pt2")
    assert not list(tmp_path.iterdir())


class Swapped(nn.Module):
    def forward(self, mask, momenta):
        return (momenta * mask)[:, :1]


class WithDefault(nn.Module):
    def forward(self, momenta, mask, scale=2.0):
        return (momenta * mask * scale)[:, :1]


def test_inputs_are_taken_in_the_order_of_the_signature(mask_case, tmp_path):
    with pytest.raises(ModelError, match="would take input 'momenta' as its parameter 'mask'"):
        write(Swapped(), mask_case, tmp_path / "Net.pt2")
    assert not list(tmp_path.iterdir())
    write(WithDefault(), mask_case, tmp_path / "Net.pt2")


def test_a_folder_that_is_not_one(normalisation_case, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write(normalisation_case.model, normalisation_case, tmp_path / "file" / "Net.pt2")


def damaged(content: bytes, how: str) -> bytes:
    middle = len(content) // 2
    return {
        "empty": b"",
        "truncated": content[:middle],
        "flipped": content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
        "foreign": b"not a zip",
    }[how]


@pytest.mark.parametrize("how", ["empty", "truncated", "flipped", "foreign"])
def test_a_corrupt_program_is_a_sentence(normalisation_case, tmp_path, how):
    path = tmp_path / "Net.pt2"
    write(normalisation_case.model, normalisation_case, path)
    path.write_bytes(damaged(path.read_bytes(), how))
    with pytest.raises(ArtifactError, match=r"Net\.pt2 .*: do not use it, and export it again"):
        read_program(path)


def test_a_missing_program_is_a_sentence(tmp_path):
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_program(tmp_path / "Net.pt2")
