"""What every model must allow: SoA views, any batch, tracing, scripting, exporting, any precision."""

import pytest
import torch
from torch.export import Dim

from soaflow.models.precision import InPrecision

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

OUTPUT_SHAPES = {
    "SimpleNet": [(1,)],
    "MaskedNet": [(1,)],
    "MultiHeadNet": [(1,), (3,)],
    "TinyResNet": [(10,)],
    "TrackHitDeepSet": [(1,)],
    "JetTagger": [(1,)],
}


def rows_dynamic(inputs):
    """Mark the rows of all inputs as symbols, but for the one row of a batch's first row."""
    return tuple({0: Dim.DYNAMIC} if tensor.shape[0] > 1 else None for tensor in inputs)


def export(model, inputs):
    return torch.export.export(model, inputs, dynamic_shapes=rows_dynamic(inputs), strict=False)


@pytest.mark.parametrize("rows", [0, 1, 7, 64])
def test_outputs_have_one_row_an_input_row(case, rows) -> None:
    outputs = case.model()(*case.inputs(rows))
    outputs = (outputs,) if isinstance(outputs, torch.Tensor) else outputs
    assert [tuple(output.shape) for output in outputs] == [(rows, *s) for s in OUTPUT_SHAPES[case.name]]


@pytest.mark.parametrize(("rows", "begin", "spare"), [(1, 0, 0), (7, 5, 30), (64, 33, 300)])
def test_views_and_copies_of_them_give_the_same(case, assert_same, rows, begin, spare) -> None:
    model, inputs = case.model(), case.inputs(rows, begin=begin, spare=spare)
    assert_same(model(*inputs), model(*(tensor.contiguous() for tensor in inputs)))


def test_batches_together_give_what_the_whole_gives(case, assert_same) -> None:
    model = case.model()
    whole = model(*case.inputs(40))
    parts = [
        model(*case.inputs(rows, begin=begin, spare=40 - begin - rows))
        for begin, rows in ((0, 17), (17, 1), (18, 22))
    ]
    if isinstance(whole, torch.Tensor):
        assert_same(torch.cat(parts), whole)
    else:
        assert_same(tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True)), whole)


@pytest.mark.parametrize("dtype", [None, torch.float32, torch.float64])
def test_one_program_is_right_for_any_number_of_rows(case, assert_same, dtype) -> None:
    model = case.model() if dtype is None else InPrecision(case.model(), dtype)
    program = export(model, case.inputs(11))
    run = program.module(check_guards=False)  # they refuse one row, which the code runs all the same
    for rows, begin, hits in ((1, 0, 1), (2, 3, 0), (11, 0, 57), (300, 33, 5)):
        inputs = case.inputs(rows, begin=begin, spare=9, hits=hits)
        assert_same(run(*inputs), model(*inputs))


def test_no_program_fixes_the_number_of_rows(case) -> None:
    program = export(case.model(), case.inputs(11))
    inputs = [node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    for node, tensor in zip(inputs, case.inputs(11), strict=True):
        assert isinstance(node.meta["val"].shape[0], torch.SymInt) == (tensor.shape[0] > 1), node.name
    rows = {str(constraint) for constraint in program.range_constraints.values()}
    assert rows == {"VR[2, int_oo]"}


@pytest.mark.parametrize("compile_model", [torch.jit.script, None], ids=["script", "trace"])
@pytest.mark.parametrize("dtype", [None, torch.float32, torch.float64])
def test_torchscript_is_right_for_any_number_of_rows(case, assert_same, compile_model, dtype) -> None:
    model = case.model() if dtype is None else InPrecision(case.model(), dtype)
    compiled = torch.jit.trace(model, case.inputs(11)) if compile_model is None else compile_model(model)
    for rows, begin, hits in ((11, 0, 57), (1, 0, 1), (2, 3, 0), (300, 33, 5)):
        inputs = case.inputs(rows, begin=begin, spare=9, hits=hits)
        assert_same(compiled(*inputs), model(*inputs))
