import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from soaflow.errors import ConfigError, TargetError
from soaflow.gpu_settings import GpuSettings
from soaflow.infer.variants import (
    REFERENCE,
    REFERENCE_ROWS,
    Backend,
    Device,
    Variant,
    reference_of,
    without_batch_sizes,
)
from soaflow.soa.layout import Item, Layout
from soaflow.soa.signature import RowRange, Signature, TensorInput, TensorOutput


def test_defaults():
    assert Variant.from_mapping("jit", {"backend": "jit"}) == Variant(
        "jit", Backend.JIT, "native", "balanced", Device.CPU, "float32", 0
    )


def test_all_keys():
    entry = {
        "backend": "aot",
        "target": "x86-64-v3",
        "profile": "throughput",
        "device": "cpu",
        "dtype": "float16",
        "batch_size": 64,
    }
    variant = Variant.from_mapping("fast", entry)
    assert variant == Variant("fast", Backend.AOT, "x86-64-v3", "throughput", Device.CPU, "float16", 64)


def test_plain_strings_become_members():
    variant = Variant("jit", "jit", device="cuda")
    assert variant.backend is Backend.JIT
    assert variant.device is Device.CUDA


def test_settings_of_a_gpu_are_keys_of_the_variant_and_survive_the_way_through_a_job_s_parameters():
    entry = {"backend": "jit", "device": "cuda", "tf32": True, "share_gpu": True}
    variant = Variant.from_mapping("fast", entry)
    assert (variant.gpu, variant.share_gpu) == (GpuSettings(tf32=True), True)
    assert Variant(**json.loads(json.dumps(asdict(variant)))) == variant
    assert not variant.differs_in_batches_only(Variant.from_mapping("exact", entry | {"tf32": False}))


TRACKS = TensorInput("tracks", "tracks", Layout.of(Item("pt", "float32")), ("pt",))
HITS = TensorInput("hits", "hits", Layout.of(Item("x", "float32")), ("x",), RowRange.WHOLE)


@pytest.mark.parametrize(("inputs", "batch_size"), [((TRACKS,), REFERENCE_ROWS), ((TRACKS, HITS), 0)])
def test_reference_is_eager_float64_in_batches_unless_a_call_sees_all_of_a_collection(inputs, batch_size):
    outputs = Layout.of(Item("score", "float32"))
    reference = reference_of(Signature(inputs, (TensorOutput("score", ("score",)),), outputs))
    assert reference == replace(REFERENCE, batch_size=batch_size)
    assert (reference.backend, reference.dtype) == (Backend.EAGER, "float64")


@pytest.mark.parametrize(
    ("name", "entry", "telling"),
    [
        ("reference", {"backend": "jit"}, "'reference'"),
        ("a.b", {"backend": "jit"}, "'a.b'"),
        ("v", {}, "'backend'"),
        ("v", {"backend": "tvm"}, "'tvm'.*eager, jit, aot, onnx"),
        ("v", {"backend": "onnx", "dtype": "bfloat16"}, "'dtype'.*'bfloat16', which backend onnx cannot run"),
        ("v", {"backend": "onnx", "device": "cuda"}, "'device'.*'cuda', which backend onnx cannot run"),
        ("v", {"backend": "onnx", "target": "native"}, "'target', which only backend aot uses"),
        ("v", {"backend": "jit", "device": "tpu"}, "'tpu'.*cpu, cuda"),
        ("v", {"backend": "jit", "dtype": "int8"}, "'int8'"),
        ("v", {"backend": "jit", "batch_size": -1}, "-1"),
        ("v", {"backend": "jit", "batch_size": True}, "True"),
        ("v", {"backend": "jit", "batch_size": "64"}, "'64'"),
        (
            "v",
            {"backend": "aot", "device": "cuda"},
            "target 'native', which is compiled for cpu, on device cuda: name a target for cuda, or set",
        ),
        (
            "v",
            {"backend": "aot", "device": "cuda", "target": "fat"},
            "target 'fat', which is compiled for cpu, on device cuda",
        ),
        (
            "v",
            {"backend": "aot", "target": "cuda-sm_90"},
            "target 'cuda-sm_90', which is compiled for cuda, on device cpu: name a target for cpu",
        ),
        ("v", {"backend": "jit", "profile": "latency"}, "'profile', which only backend aot uses: remove it"),
        ("v", {"backend": "jit", "target": "native"}, "'target'"),
        ("v", {"backend": "jit", "threads": 2}, "'threads'"),
        (
            "v",
            {"backend": "jit", "cuda_graphs": True},
            "'cuda_graphs', which only device cuda uses: remove it",
        ),
        ("v", {"backend": "jit", "device": "cuda", "cuda_graphs": 1}, "'cuda_graphs' .* is 1: give true or"),
        ("v", {"backend": "jit", "tf32": True}, "'tf32', which only device cuda uses: remove it"),
        ("v", {"backend": "jit", "share_gpu": True}, "'share_gpu', which only device cuda uses: remove it"),
        ("v", {"backend": "jit", "device": "cuda", "tf32": 1}, "'tf32' is 1: give true or false"),
        ("v", {"backend": "jit", "device": "cuda", "share_gpu": 1}, "'share_gpu'.* is 1: give true or false"),
        (
            "v",
            {"backend": "jit", "device": "cuda", "cublas_workspace": False},
            "'cublas_workspace' is false, and torch's deterministic algorithms need it",
        ),
    ],
)
def test_mistakes_name_variant_and_value(name, entry, telling):
    with pytest.raises(ConfigError, match=telling) as raised:
        Variant.from_mapping(name, entry)
    assert name in str(raised.value)


def test_an_aot_artifact_of_a_cuda_target_may_run_on_cuda():
    assert Variant("v", Backend.AOT, "cuda-sm_90", device=Device.CUDA).device is Device.CUDA


def test_a_fat_artifact_runs_on_the_cpu():
    assert Variant.from_mapping("v", {"backend": "aot", "target": "fat"}).device is Device.CPU


@pytest.mark.parametrize("target", ["avx2", "cuda_sm90", "cuda", "x86-64-v5", ""])
def test_a_target_that_is_none_is_refused(target):
    with pytest.raises(TargetError, match=f"there is no target '{target}': choose one of native, x86-64-v2"):
        Variant.from_mapping("v", {"backend": "aot", "target": target})


def test_a_profile_that_is_none_is_refused():
    with pytest.raises(
        ConfigError, match="there is no build profile 'fast': choose one of latency, balanced, throughput"
    ):
        Variant.from_mapping("v", {"backend": "aot", "profile": "fast"})


def test_settings_import_no_heavy_library():
    code = (
        "import sys, soaflow.infer.variants, soaflow.infer.devices\n"
        "assert not {'torch', 'numpy', 'h5py'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_variants_that_differ_in_their_batches_alone_are_one():
    made = [
        Variant("aot", Backend.AOT),
        Variant("aot_b64", Backend.AOT, batch_size=64),
        Variant("fast", Backend.AOT, profile="throughput"),
        Variant("jit", Backend.JIT),
        Variant("jit_half", Backend.JIT, dtype="float16"),
        Variant("jit_gpu", Backend.JIT, device=Device.CUDA),
        Variant("jit_gpu_graphs", Backend.JIT, device=Device.CUDA, batch_size=64, cuda_graphs=True),
    ]
    kept = ["aot", "fast", "jit", "jit_half", "jit_gpu"]
    assert [variant.name for variant in without_batch_sizes(made)] == kept
