import math
from unittest import mock

import pytest
import torch

from soaflow.bisect.builders import aot_builder, jit_builder, onnx_builder
from soaflow.bisect.calls import Calls, Program
from soaflow.bisect.prefixes import Prefix, bisect_builds, cut_after, cuts


def planting(name, fault):
    """Return what builds first parts eagerly, with a fault in the output of one operation."""

    def build(prefix: Prefix):
        for node in prefix.module.graph.nodes:
            if node.name == name:
                with prefix.module.graph.inserting_after(node):
                    wrong = prefix.module.graph.call_function(fault, (node,))
                node.replace_all_uses_with(wrong, lambda user, wrong=wrong: user is not wrong)
        prefix.module.recompile()
        return lambda tensors: prefix.module(*tensors)

    return build


@pytest.fixture
def deep_set(program, default_model, events_of):
    model, signature = default_model("TrackHitDeepSet")
    walked = Program.read(program(model, signature=signature))
    return walked, Calls(walked.signature, events_of(signature, 300))


def test_each_operation_is_found_in_few_builds(deep_set):
    walked, calls = deep_set
    floating = [node for node in cuts(walked.module) if node.meta["val"].is_floating_point()]
    assert len(floating) > 10
    for node in floating:
        answer = bisect_builds(walked, planting(node.name, lambda values: values + 1e-2), calls, 2.0)
        assert answer.divergence.operation.name == node.name
        assert answer.builds <= 1 + math.ceil(math.log2(answer.operations))
        assert not any(one.diverges(2.0) for one in answer.divergence.inputs.values())


def test_nan_from_the_middle_on(deep_set):
    walked, calls = deep_set
    answer = bisect_builds(walked, planting("index_add", lambda values: values / 0 * 0), calls, 2.0)
    assert answer.divergence.operation.target == "aten.index_add.default"
    assert answer.divergence.figures.difference == float("inf")


def test_a_build_without_a_fault_leaves_it_open(deep_set):
    walked, calls = deep_set
    answer = bisect_builds(walked, planting("nothing", torch.neg), calls, 2.0)
    assert (answer.divergence, answer.builds) == (None, 1)
    assert answer.diverges
    assert "where it begins is not known" in answer.describe()


def test_a_value_that_diverges_only_once_a_later_operation_is_built_too(deep_set):
    walked, calls = deep_set
    places = [node.name for node in cuts(walked.module)]
    spoiling = places.index("select")  # an operation on integers, after which linear_3 is still used

    def build(prefix):
        spoilt = places.index(prefix.last.name) >= spoiling

        def call(tensors):
            return [value + spoilt * value.is_floating_point() for value in prefix.module(*tensors)]

        return call

    answer = bisect_builds(walked, build, calls, 2.0)
    assert answer.divergence is None
    assert "once operation select (aten.select.int) is compiled too" in answer.unplaced


def test_a_part_returns_what_is_still_used(deep_set):
    walked, _ = deep_set
    (joined,) = (node for node in cuts(walked.module) if node.target is torch.ops.aten.cat.default)
    before = cuts(walked.module)[cuts(walked.module).index(joined) - 1]
    assert {node.name for node in cut_after(walked.module, before).live} == {"linear_1", "slice_2"}
    assert [node.name for node in cut_after(walked.module, joined).live] == ["cat"]


@pytest.mark.parametrize("builder", [jit_builder, onnx_builder])
def test_parts_that_are_built_wrongly(builder, program, events, net):
    walked = Program.read(program(net()))
    calls, built = Calls(walked.signature, events), builder(walked)
    assert "does not diverge up to its last operation" in bisect_builds(walked, built, calls, 2.0).unplaced

    def building_wrongly(prefix):
        for node in prefix.module.graph.nodes:
            if node.target is torch.ops.aten.tanh.default:
                node.target = torch.ops.aten.sigmoid.default
        prefix.module.recompile()
        return built(prefix)

    operation = bisect_builds(walked, building_wrongly, calls, 2.0).divergence.operation
    assert (operation.target, operation.module) == ("aten.tanh.default", "middle")


def test_parts_of_a_model_of_sets_in_onnx(deep_set):
    walked, calls = deep_set
    places = cuts(walked.module)
    wrong = next(node for node in places if node.target is torch.ops.aten.cat.default)
    right = onnx_builder(walked)

    def build(prefix):
        model, spoilt = right(prefix), places.index(prefix.last) >= places.index(wrong)
        return lambda tensors: [value + spoilt for value in model(tensors)]

    assert bisect_builds(walked, right, calls, 2.0).divergence is None
    assert bisect_builds(walked, build, calls, 2.0).divergence.operation.target == "aten.cat.default"


@pytest.mark.compile
def test_an_operation_that_is_compiled_wrongly(program, events, net):
    from torch._inductor import lowering  # noqa: PLC0415  2 s

    walked = Program.read(program(net()))
    aten = torch.ops.aten
    wrong = {aten.tanh.default: lowering.lowerings[aten.sigmoid.default]}
    with mock.patch.dict(lowering.lowerings, wrong):
        answer = bisect_builds(
            walked, aot_builder(walked, "native", "balanced"), Calls(walked.signature, events), 2.0
        )
    operation = answer.divergence.operation
    assert (operation.target, operation.module) == ("aten.tanh.default", "middle")
    assert answer.builds <= 4
