import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from soaflow.description import read_description
from soaflow.errors import ConfigError, ExportError, ModelError
from soaflow.export.examples import CallShape, example_inputs
from soaflow.export.jit import write_jit
from soaflow.verification import verify_artifact

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated:DeprecationWarning")


def write(model, case, path, mode="trace", dtype="float32"):
    return write_jit(model, case.signature, path, model_name="Net", dtype=dtype, origin={}, mode=mode)


def test_artifact_and_passport(case, jit_file):
    passport = verify_artifact(jit_file)
    assert (passport.description.kind, passport.description.model) == ("jit", case.name)
    assert read_description(jit_file) == passport.description
    assert passport.builds["jit"].options == {"mode": case.jit, "frozen": True}
    module = torch.jit.load(jit_file, map_location="cpu")
    assert not list(module.parameters()), "a frozen module holds its weights as constants"


def test_no_path_of_this_machine_is_in_it(jit_file):
    content = jit_file.read_bytes()
    for folder in (Path(torch.__file__).parents[1], Path(__file__).parents[2], jit_file.parent, Path.home()):
        assert str(folder).encode() not in content


class BakesBatch(nn.Module):
    """A trace of it divides by the number of rows of the example."""

    def forward(self, momenta):
        return momenta[:, :2] / float(len(momenta))


class BakesStride(nn.Module):
    def forward(self, momenta):
        return momenta[:, :2] + float(momenta.stride(1) > 100)


class BakesBranch(nn.Module):
    def forward(self, momenta):
        if len(momenta) > 10:
            return momenta[:, :2]
        return momenta[:, 2:]


class BranchesOnSign(nn.Module):
    def forward(self, momenta):
        if (momenta < 0).any():
            return momenta[:, :2]
        return momenta[:, 2:]


@pytest.mark.parametrize("model", [BakesBatch(), BakesStride(), BakesBranch(), BranchesOnSign()])
def test_what_a_trace_bakes_in_is_caught(normalisation_case, tmp_path, model):
    with pytest.raises(ExportError, match=r"TorchScript artifact of model Net at .* differs"):
        write(model, normalisation_case, tmp_path / "Net.pt")
    assert not list(tmp_path.iterdir())


class BranchesOnClass(nn.Module):
    def forward(self, momenta, mask):
        if bool((mask > 1).any()):
            return momenta[:, :1]
        return momenta[:, 1:2]


def test_a_trace_that_bakes_in_the_classes_it_saw_is_caught(mask_case, tmp_path):
    with pytest.raises(ExportError, match=r"TorchScript artifact of model Net at .* differs"):
        write(BranchesOnClass(), mask_case, tmp_path / "Net.pt")
    write(BranchesOnClass(), mask_case, tmp_path / "Net.pt", "script")


def test_inputs_in_another_order_are_refused(mask_case, tmp_path):
    class Swapped(nn.Module):
        def forward(self, mask, momenta):
            return (momenta * mask)[:, :1]

    with pytest.raises(ModelError, match="would take input 'momenta' as its parameter 'mask'"):
        write(Swapped(), mask_case, tmp_path / "Net.pt")


@pytest.mark.parametrize("mode", ["trace", "script"])
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_precision_is_the_models_and_not_the_inputs(normalisation_case, tmp_path, dtype, mode):
    path = tmp_path / "Net.pt"
    write(normalisation_case.model, normalisation_case, path, mode, dtype)
    inputs = example_inputs(normalisation_case.signature, CallShape(23, 96), 9)
    assert inputs[0].dtype == torch.float32
    assert torch.jit.load(path)(*inputs).dtype == getattr(torch, dtype)


@pytest.mark.parametrize("model", [BakesBatch(), BakesStride(), BakesBranch(), BranchesOnSign()])
def test_a_script_keeps_it(normalisation_case, tmp_path, model):
    passport = write(model, normalisation_case, tmp_path / "Net.pt", "script")
    assert passport.builds["jit"].options["mode"] == "script"


class NotScriptable(nn.Module):
    def forward(self, momenta):
        return torch.stack([*(momenta[:, i] for i in {0: 1, 1: 2})], dim=1)


def test_what_cannot_be_scripted_is_a_sentence(normalisation_case, tmp_path):
    with pytest.raises(ExportError, match=r"cannot be exported to TorchScript by script.*set 'jit: trace'"):
        write(NotScriptable(), normalisation_case, tmp_path / "Net.pt", "script")
    with pytest.raises(ConfigError, match="'jit' of model Net is 'record'"):
        write(NotScriptable(), normalisation_case, tmp_path / "Net.pt", "record")


CODE = """
import sys, torch
from soaflow.export.jit import write_jit
from soaflow.models.multi_head_net import MultiHeadNet
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.signature import Signature, TensorInput, TensorOutput
torch.manual_seed(1)
layout = Layout.of(*(Item(name, "float32") for name in ("pt", "eta", "phi")))
outputs = Layout.of(Item("energy", "float32"), Item("classes", "float32", ItemKind.EIGEN, (3,)))
signature = Signature((TensorInput("particles", "particles", layout, layout.names),),
                      (TensorOutput("energy", ("energy",)), TensorOutput("classes", ("classes",))), outputs)
write_jit(MultiHeadNet().eval(), signature, sys.argv[1], model_name="M", dtype="float32", origin={},
          mode=sys.argv[2])
"""


@pytest.mark.parametrize("mode", ["trace", "script"])
def test_the_same_bytes_twice(tmp_path, mode):
    paths = [tmp_path / "one" / "M.pt", tmp_path / "two" / "M.pt"]
    for path in paths:
        path.parent.mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        subprocess.run([sys.executable, "-c", CODE, path, mode], check=True, env=environment, cwd=path.parent)
    assert paths[0].read_bytes() == paths[1].read_bytes()
