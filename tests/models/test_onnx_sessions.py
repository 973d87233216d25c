import onnx
import pytest
import torch

from soaflow.models.onnx_sessions import OnnxSession
from soaflow.soa.tensors import row_major


@pytest.fixture(scope="module")
def doubled():
    """A session that returns twice its input, [B, 3]."""
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["B", 3]) for name in ("x", "y")
    ]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "x"], ["y"])], "doubled", values[:1], values[1:]
    )
    opset = onnx.helper.make_opsetid("", 20)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    return OnnxSession(model.SerializeToString())


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_any_number_of_rows(doubled, rows):
    values = torch.arange(rows * 3, dtype=torch.float32).reshape(rows, 3)
    (result,) = doubled(values)
    assert torch.equal(result, 2 * values)


def test_a_strided_tensor_is_refused_and_not_copied_unseen(doubled):
    with pytest.raises(ValueError, match=r"sizes \[7, 3\] is not contiguous"):
        doubled(torch.zeros(3, 7).t())


def test_row_major_always_copies():
    values = torch.arange(6.0).reshape(3, 2)
    for given in (values, values.t()):
        copied = row_major(given)
        assert torch.equal(copied, given)
        assert copied.is_contiguous()
        assert copied.data_ptr() != given.data_ptr()
