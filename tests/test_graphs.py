"""Graphs with what torch would call or evaluate; those that torch writes are in `test_archives.py`."""

import json

import pytest

from soaflow.errors import ArtifactError
from soaflow.graphs import check_calls, check_graph


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "torch.ops.load_library",
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.__class__.__subclasses__",
        "torch.ops.aten.add.__class__",
        "torch.ops.aten.add.Tensor.__class__",
        "torch.ops.other.add.default",
        "_operator.methodcaller",
        "math.factorial",
        "#extension",
        "builtins.eval",
    ],
)
@pytest.mark.parametrize("key", ["target", "as_operator"])
def test_an_operator_that_is_none_of_torch_is_refused(key, target):
    graph = {"graph_module": {"graph": {"nodes": [{key: target, "inputs": []}]}}}
    with pytest.raises(ArtifactError, match="has the operator"):
        check_graph(json.dumps(graph).encode(), "x", "models/model.json")


@pytest.mark.parametrize(
    "size",
    [
        "__import__('os').system('true')",
        "Symbol('s10').__class__",
        "open('s1')",
        "[Integer(1)]",
        "Integer(1);Integer(2)",
        "lambda: Integer(1)",
        "Symbol('a b')",
        "9" * 40,
        "",
        ["Integer(1)"],
        {"Integer(1)": 1},
    ],
)
def test_a_size_that_is_no_arithmetic_is_refused(size):
    graph = {"graph_module": {"value": {"as_expr": {"expr_str": size}}}}
    with pytest.raises(ArtifactError, match="has the size"):
        check_graph(json.dumps(graph).encode(), "x", "models/model.json")


@pytest.mark.parametrize(
    "guard",
    [
        "print('x') is None",
        "L.__class__",
        "exec(L['x'])",
        "L['x'].data_ptr()",
        "torch.os",
        "math.os.system",
        1,
    ],
)
def test_a_guard_that_compares_no_sizes_is_refused(guard):
    graph = {"graph_module": {}, "guards_code": [guard]}
    with pytest.raises(ArtifactError, match="has the guard"):
        check_graph(json.dumps(graph).encode(), "x", "models/model.json")


def test_usual_sizes_operators_and_guards_are_accepted():
    sizes = ("Symbol('s10', positive=True, integer=True)", "Min(Integer(3), Mul(Integer(-3), Symbol('u1')))")
    guards = [
        "L['hits'].stride()[1] != L['hits'].size()[0]",
        "2 <= L['x'].size()[0] and L['x'].size()[0] <= 9",
    ]
    graph = {
        "graph_module": {
            "sizes": [{"expr_str": size} for size in sizes],
            "nodes": [
                {"target": name}
                for name in ("torch.ops.aten._to_copy.default", "torch.ops.aten.__or__.Tensor")
            ],
            # A tensor that a model calls so.
            "tensor_values": {"target": {"dtype": 7}},
        },
        "guards_code": guards,
    }
    check_graph(json.dumps(graph).encode(), "x", "models/model.json")


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff", b"[]", b"[" * 100_000, b"1" * 10_000, b'{"graph_module": 1}']
)
def test_what_is_no_graph_is_refused(text):
    with pytest.raises(ArtifactError, match=r"is not JSON|holds no graph"):
        check_graph(text, "x", "models/model.json")


@pytest.mark.parametrize("target", ["aten::index_add", "aten::index_put_.hacked_twin", "aten::_softmax.out"])
def test_a_call_of_an_operator_of_torch_is_accepted(target):
    calls = {"nodes": [{"name": "buf10", "node": {"target": target, "inputs": []}}]}
    check_calls(json.dumps(calls).encode(), "x", "model.json")


@pytest.mark.parametrize("target", ["aten::from_file", "mine::add", "aten::add.Tensor.x", "add", "", None, 1])
def test_a_call_of_another_operator_is_refused(target):
    calls = {"nodes": [{"name": "buf10", "node": {"target": target, "inputs": []}}]}
    with pytest.raises(ArtifactError, match="has the operator"):
        check_calls(json.dumps(calls).encode(), "x", "model.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nodes": {}}', '{"nodes": [1]}', '{"nodes": [{}]}'])
def test_what_is_no_list_of_calls_is_refused(text):
    with pytest.raises(ArtifactError, match=r"'model\.json' that"):
        check_calls(text.encode(), "x", "model.json")
