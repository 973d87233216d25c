"""What a build for a GPU needs beyond one for a CPU, as far as it shows without one."""

import importlib.metadata
import os
import shutil
from ctypes.util import find_library

import pytest
import torch
from torch._inductor import codecache
from torch._subclasses import FakeTensor
from torch.utils import cpp_extension

from soaflow.errors import ExportError
from soaflow.export.gpu_build import kernel_facts, moved_program, require_toolkit, without_paths
from soaflow.export.program import read_program
from soaflow.targets import find_target

COMPILER = str(shutil.which("g++"))
H100 = find_target("cuda-sm_90")


@pytest.fixture
def toolkit(tmp_path, monkeypatch):
    """A toolkit of empty headers and an empty driver's library, of which the compiler finds all."""
    include = tmp_path / "include"
    (include / "crt").mkdir(parents=True)
    (tmp_path / "lib64").mkdir()
    (include / "cuda.h").touch()
    (include / "cuda_fp16.h").write_text("#include <crt/host_defines.h>\n")
    (include / "crt" / "host_defines.h").touch()
    (tmp_path / "lib64" / "libcuda.so").write_text("INPUT(-lc)\n")
    monkeypatch.setattr(cpp_extension, "CUDA_HOME", str(tmp_path))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(importlib.metadata, "version", lambda name: {"triton": "3.6.0"}[name])
    return tmp_path


@pytest.mark.usefixtures("toolkit")
def test_a_build_for_a_gpu_says_what_compiles_its_kernels():
    facts = kernel_facts(find_target("cuda-sm_90a"))
    assert facts == {"cuda": "13.0", "triton": "3.6.0", "compute_capability": "9.0"}
    assert kernel_facts(find_target("native")) == {}


@pytest.mark.usefixtures("toolkit")
def test_a_whole_toolkit_is_found():
    require_toolkit(H100, COMPILER)


def test_a_torch_or_a_triton_that_cannot_build_for_a_gpu_is_named(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(ExportError, match="target cuda-sm_90 needs a torch that is built with CUDA, and"):
        kernel_facts(H100)

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(ExportError, match="needs Triton, which is not there"):
        kernel_facts(H100)


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("include/cuda.h", "cuda.h"),
        ("include/crt/host_defines.h", "crt/host_defines.h"),
        ("lib64/libcuda.so", "-lcuda"),
    ],
)
def test_what_a_toolkit_lacks_is_named(toolkit, missing, named):
    if missing.startswith("lib64") and find_library("cuda"):
        pytest.skip("the system has a driver's library of its own")
    (toolkit / missing).unlink()
    with pytest.raises(
        ExportError,
        match=f"target cuda-sm_90 needs the CUDA toolkit, and that in {toolkit} lacks {named}: "
        "install the CUDA toolkit 13.0 and set CUDA_HOME to its folder",
    ):
        require_toolkit(H100, COMPILER)


@pytest.mark.usefixtures("toolkit")
def test_a_machine_without_a_toolkit_is_told_so(monkeypatch):
    monkeypatch.setattr(cpp_extension, "CUDA_HOME", None)
    with pytest.raises(ExportError, match=r"needs the CUDA toolkit, and none is found: .* set CUDA_HOME"):
        require_toolkit(H100, COMPILER)


@pytest.mark.parametrize("name", ["NormalisationFirst", "ConvolutionFirst"])
def test_a_moved_program_has_the_strides_it_had_and_may_begin_anywhere(workshop, name):
    program = read_program(workshop.program(name))
    before = {node.name: node.meta.get("val") for node in program.graph.nodes}
    inputs = set(program.graph_signature.user_inputs)
    moved = moved_program(program, "meta")
    after = {node.name: node.meta.get("val") for node in moved.graph.nodes}
    assert after.keys() == before.keys()
    views = 0
    for node, value in after.items():
        if not isinstance(value, FakeTensor):
            continue
        assert value.device.type == "meta"
        assert (value.dtype, value.shape, value.stride()) == (
            before[node].dtype,
            before[node].shape,
            before[node].stride(),
        )
        assert value.storage_offset() == (node in inputs)
        views += node in inputs and not value.is_contiguous()
    assert views
    assert {weight.device.type for weight in moved.state_dict.values()} == {"meta"}


def test_a_moved_program_asks_no_tensor_for_its_device(workshop):
    path = workshop.program("NormalisationFirst", dtype="float16")
    checks = [
        node
        for node in moved_program(read_program(path), "meta").graph.nodes
        if node.target is torch.ops.aten._assert_tensor_metadata.default
    ]
    assert checks
    assert not [node for node in checks if "device" in node.kwargs]


def test_triton_is_told_to_leave_lines_out_of_a_gpus_kernels_and_no_longer_than_needed():
    before = os.environ.get("TRITON_DISABLE_LINE_INFO")
    with without_paths(H100):
        assert os.environ["TRITON_DISABLE_LINE_INFO"] == "1"
    assert os.environ.get("TRITON_DISABLE_LINE_INFO") == before
    with without_paths(find_target("native")):
        assert os.environ.get("TRITON_DISABLE_LINE_INFO") == before


def test_a_kernel_becomes_the_same_object_file_in_every_folder(tmp_path):
    made = set()
    for name in ("a", "bb/c", "dd/eee/ffff", "gg/h", "i"):
        kernel = tmp_path / name / "kernel.cubin"
        kernel.parent.mkdir(parents=True)
        kernel.write_bytes(b"machine code")
        with without_paths(H100):
            path = codecache.convert_cubin_to_obj(str(kernel), "add", "ld", "objcopy")
        assert path == f"{kernel}.o"
        made.add((kernel.parent / f"{kernel.name}.o").read_bytes())
    (content,) = made
    assert b"__add_start" in content
