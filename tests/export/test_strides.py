from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch._export import non_strict_utils
from torch.export import Dim

from soaflow.errors import ExportError
from soaflow.export import strides
from soaflow.export.examples import CallShape, example_inputs
from soaflow.export.program import write_program
from soaflow.export.strides import check_strides, symbolic_strides


def export(case, inputs):
    return torch.export.export(case.model, inputs, dynamic_shapes=({0: Dim("B", min=1)},), strict=False)


def test_strides_become_symbols(normalisation_case):
    inputs = example_inputs(normalisation_case.signature, CallShape(37, 228), 0)
    with symbolic_strides(inputs):
        program = export(normalisation_case, inputs)
    value = next(node.meta["val"] for node in program.graph.nodes if node.name == "momenta")
    rows, stride = value.shape[0], value.stride()
    assert isinstance(rows, torch.SymInt)
    assert stride[0] == 1
    assert isinstance(stride[1], torch.SymInt)
    assert stride[1].node.expr != rows.node.expr
    check_strides(program, "Net")


def test_without_the_hook_strides_are_baked_and_found(normalisation_case):
    inputs = example_inputs(normalisation_case.signature, CallShape(37, 228), 0)
    with pytest.raises(ExportError, match="model Net: the export fixed a stride of input 'momenta' to 256"):
        check_strides(export(normalisation_case, inputs), "Net")


def test_the_hook_is_taken_off_again(normalisation_case):
    before = non_strict_utils._create_symbolic_context_for_tensor
    inputs = example_inputs(normalisation_case.signature, CallShape(37, 228), 0)
    with pytest.raises(RuntimeError), symbolic_strides(inputs):
        torch.ones(2) @ torch.ones(3)
    assert non_strict_utils._create_symbolic_context_for_tensor is before


def test_a_torch_without_the_hook_is_a_sentence(monkeypatch):
    monkeypatch.delattr(non_strict_utils, strides._HOOK)
    with (
        pytest.raises(ExportError, match=r"cannot be exported as symbols with torch 2\..* has no _create"),
        symbolic_strides([]),
    ):
        pass


def test_a_torch_that_does_not_call_the_hook_is_a_sentence():
    with (
        pytest.raises(ExportError, match="was not called for every input"),
        symbolic_strides([torch.ones(2)]),
    ):
        pass


def test_a_torch_whose_hook_gives_no_strides_is_a_sentence(monkeypatch, normalisation_case):
    monkeypatch.setattr(non_strict_utils, strides._HOOK, lambda *_: SimpleNamespace(dynamic_strides=None))
    inputs = example_inputs(normalisation_case.signature, CallShape(37, 228), 0)
    with pytest.raises(ExportError, match="gives no list of strides"), symbolic_strides(inputs):
        export(normalisation_case, inputs)


class AsksForStride(nn.Module):
    def forward(self, momenta):
        return momenta[:, :2] * (2.0 if momenta.stride(1) > 1000 else 1.0)


class NeedsStride(nn.Module):
    def forward(self, momenta):
        return momenta[:, :2] / int(momenta.stride(1))


class AsksForOneStride(nn.Module):
    def forward(self, momenta):
        return momenta[:, :2] * (2.0 if momenta.stride(1) == 288 else 1.0)


@pytest.mark.parametrize("model", [AsksForStride(), NeedsStride(), AsksForOneStride()])
def test_a_model_that_asks_about_strides_is_refused(normalisation_case, tmp_path, model):
    with pytest.raises(ExportError, match=r"model Net: .*remove is_contiguous, stride"):
        write_program(
            model,
            normalisation_case.signature,
            tmp_path / "a.pt2",
            model_name="Net",
            dtype="float32",
            origin={},
        )
