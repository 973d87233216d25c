"""Artifacts for an H100, compiled as on one by all but the GPU itself; see `fake_h100`."""

import re
import sys
from ast import literal_eval
from pathlib import Path

import pytest
import torch
from h100_builds import archive_of_a_fresh_process
from torch.utils import cpp_extension

from soaflow.archives import AOT, check_archive
from soaflow.export.machine_code import check_machine_code, read_machine_code

pytestmark = pytest.mark.gpu_build

BUILDS = [
    *((model, "float32") for model in ("SimpleNet", "MultiHeadNet", "TinyResNet", "TrackHitDeepSet")),
    *((model, "float16") for model in ("TinyResNet", "TrackHitDeepSet")),
    ("TrackHitDeepSet", "bfloat16"),  # which calls an operator of torch by name
]


@pytest.fixture(scope="session", params=BUILDS, ids=".".join)
def build(request, builds):
    return builds.of(*request.param)


def test_the_archive_is_one_that_readers_accept(build, tmp_path):
    path = tmp_path / "Net.pt2"
    path.write_bytes(build.archive)
    assert [name for name in check_archive(path, AOT) if name.endswith(".so")]


def test_no_folder_of_this_machine_is_named(build):
    content = build.archive
    for folder in (
        build.folder,
        build.folder.parent,
        Path(torch.__file__).parents[1],
        Path(__file__).parents[2],
        Path(cpp_extension.CUDA_HOME),
        Path(sys.prefix),
        Path(sys.base_prefix),
        "/tmp/",
    ):
        assert str(folder).encode() not in content


def test_the_library_has_machine_code_and_starts_no_threads(build):
    code = read_machine_code(build.library)
    check_machine_code(code, None, "the library")
    assert "libtorch_cuda.so" in code.libraries


def test_the_library_holds_each_kernel_that_is_launched(build):
    launched = {name for name, _ in launches(build.wrapper)}
    assert launched
    assert launched <= set(alignments(build.kernels))
    content = build.library.read_bytes()
    assert [name for name in launched if name.encode() not in content] == []


def test_a_view_is_read_and_written_where_it_is(build):
    """A stored output that is copied to where it is aligned never reaches the caller's memory."""
    assert views_in(build.wrapper)
    assert "_aligned" not in build.wrapper
    assert "clone_preserve_strides" not in build.wrapper


def test_no_kernel_is_told_that_a_view_is_aligned(build):
    aligned = alignments(build.kernels)
    of_views = [
        (name, argument, place in aligned[name])
        for name, arguments in launches(build.wrapper)
        for place, argument in enumerate(arguments)
        if argument in views_in(build.wrapper)
    ]
    assert of_views
    assert [(name, argument) for name, argument, told in of_views if told] == []


def test_the_same_program_gives_the_same_bytes_in_another_folder(tmp_path):
    """In processes of their own: with torch 2.11 the second build of one has other notes in its kernels."""
    archives = {
        archive_of_a_fresh_process(tmp_path / name, "TrackHitDeepSet", "float16") for name in ("a", "other")
    }
    assert len(archives) == 1


def views_in(wrapper: str) -> set[str]:
    """Return Inductor's names of the tensors that a caller gives."""
    return set(re.findall(r"auto (arg\d+_1) = std::move\(inputs\[", wrapper))


def launches(wrapper: str) -> list[tuple[str, list[str]]]:
    """Return the name and the arguments of each kernel that is launched."""
    calls = re.findall(r"^ +call_(model_triton_\w+)\((.+)\);$", wrapper, re.MULTILINE)
    return [(name, arguments.split(", ")) for name, arguments in calls]


def alignments(kernels: list[str]) -> dict[str, set[int]]:
    """Return which of its arguments each kernel takes for multiples of 16, addresses and numbers alike."""
    found: dict[str, set[int]] = {}
    for source in kernels:
        (name,) = re.findall(r"@triton\.jit\ndef (\w+)\(", source)
        (attributes,) = re.findall(r"'configs': \[(\{.*?\})\]", source)
        found[name] = {place for (place,) in literal_eval(attributes)}
    return found
