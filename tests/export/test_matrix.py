"""Every artifact at every capacity, row count and offset, against the eager model."""

import itertools

import pytest
import torch

from soaflow.errors import ContractError
from soaflow.export.aot import read_package
from soaflow.export.check import as_tensors
from soaflow.export.examples import CallShape, example_inputs
from soaflow.profiles import PROFILES
from soaflow.soa.calls import check_inputs
from soaflow.targets import CPU_TARGETS
from soaflow.threads import on_one_thread

TELLING = ("NormalisationFirst", "ConvolutionFirst", "AttentionFirst")
LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")
NAMES = {"latency": 0, "reproducible": 0, "throughput": 1, "balanced": 2}
"""By profile: which case is the first target's. Two profiles with the same options share a compilation."""

BUILDS = [
    (TELLING[(i + first) % len(TELLING)], target, profile)
    for i, target in enumerate((*LEVELS, "native"))
    for profile, first in NAMES.items()
    if (target, profile) != ("native", "balanced")
]

STRIDES = (64, 320, 4096, 4128)
"""S of floats; 31 of their rows are padding where the call leaves room, so bytes and doubles have another."""

MATRIX = [
    CallShape(
        rows, max(stride - 31, offset + rows), offset, whole_rows=2 * rows, whole_capacity=2 * stride - 31
    )
    for stride, rows, offset in itertools.product(STRIDES, (1, 7, 64, 300), (0, 5, 33))
    if offset + rows <= stride
]


@on_one_thread()
def assert_right_everywhere(case, candidate):
    for seed, shape in enumerate(MATRIX):
        inputs = example_inputs(case.signature, shape, 100 + seed)
        check_inputs(case.signature, inputs)
        with torch.no_grad():
            expected = as_tensors(case.model(*inputs))
            got = as_tensors(candidate(*inputs))
        for one, other in zip(expected, got, strict=True):
            assert one.isfinite().all()
            assert shape.rows == 1 or one.std(dim=0).max() > 2e-4, "equal rows would show no error"
            torch.testing.assert_close(
                other, one, rtol=1e-5, atol=1e-5, msg=lambda text, s=shape: f"{s}: {text}"
            )


def test_the_matrix_is_whole(mask_case):
    assert len(MATRIX) == 7 + 11 + 12 + 12
    calls = [example_inputs(mask_case.signature, shape, 0) for shape in MATRIX]
    strides = {tuple(tensor.stride(1) for tensor in inputs) for inputs in calls}
    assert strides == {(64, 128), (320, 384), (4096, 4096), (4128, 4224)}


@pytest.mark.compile
def test_aot(case, aot_file):
    assert_right_everywhere(case, read_package(aot_file))


@pytest.mark.compile
@pytest.mark.parametrize(("name", "target", "profile"), BUILDS, ids=map("-".join, BUILDS))
def test_targets_and_profiles(workshop, name, target, profile):
    """Every target in every profile, with one case each; `native` in `balanced` is `test_aot`'s, with all.

    Strides are baked in by whatever fuses a model's first operation, and packed weights change the
    operation behind it, so the cases are those whose first operation is compiled in three ways: a fused
    loop, a convolution on strided images, an attention over 3-D views. They are rotated through the builds
    so that each meets every target and every profile: 15 builds, where all 45 would add no pair.
    """
    assert_right_everywhere(workshop.case(name), read_package(workshop.artifact(name, target, profile)))


def test_every_pair_is_built():
    builds = [*BUILDS, *((name, "native", "balanced") for name in TELLING)]
    names, targets, profiles = (set(values) for values in zip(*builds, strict=True))
    assert {build[1:] for build in builds} == set(itertools.product(targets, profiles))
    assert profiles == set(PROFILES)
    assert targets == set(CPU_TARGETS)
    assert {(name, target) for name, target, _ in builds} == set(itertools.product(names, targets))
    assert {(name, profile) for name, _, profile in builds} == set(itertools.product(names, profiles))


@pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated:DeprecationWarning")
def test_jit(case, jit_file):
    assert_right_everywhere(case, torch.jit.load(jit_file))


@pytest.mark.parametrize("shape", [shape for shape in MATRIX if shape.rows > 1], ids=str)
def test_row_major_is_refused(case, shape):
    inputs = example_inputs(case.signature, shape, 0)
    row_major = [tensor.clone(memory_format=torch.contiguous_format) for tensor in inputs]
    with pytest.raises(ContractError, match="row-major"):
        check_inputs(case.signature, row_major)
