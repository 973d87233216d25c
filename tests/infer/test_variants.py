import subprocess
import sys

import pytest

from soaflow.errors import ConfigError
from soaflow.infer.variants import REFERENCE, Backend, Device, Variant


def test_defaults():
    assert Variant.from_mapping("jit", {"backend": "jit"}) == Variant(
        "jit", Backend.JIT, "native", Device.CPU, "float32", 0
    )


def test_all_keys():
    entry = {"backend": "aot", "target": "native", "device": "cpu", "dtype": "float16", "batch_size": 64}
    variant = Variant.from_mapping("fast", entry)
    assert variant == Variant("fast", Backend.AOT, "native", Device.CPU, "float16", 64)


def test_plain_strings_become_members():
    variant = Variant("jit", "jit", device="cuda")
    assert variant.backend is Backend.JIT
    assert variant.device is Device.CUDA


def test_reference_is_eager_float64_on_the_whole_shard():
    assert (REFERENCE.backend, REFERENCE.dtype, REFERENCE.batch_size) == (Backend.EAGER, "float64", 0)


@pytest.mark.parametrize(
    ("name", "entry", "telling"),
    [
        ("reference", {"backend": "jit"}, "'reference'"),
        ("a.b", {"backend": "jit"}, "'a.b'"),
        ("v", {}, "'backend'"),
        ("v", {"backend": "onnx"}, "'onnx'.*eager, jit, aot"),
        ("v", {"backend": "jit", "device": "tpu"}, "'tpu'.*cpu, cuda"),
        ("v", {"backend": "jit", "dtype": "int8"}, "'int8'"),
        ("v", {"backend": "jit", "batch_size": -1}, "-1"),
        ("v", {"backend": "jit", "batch_size": True}, "True"),
        ("v", {"backend": "jit", "batch_size": "64"}, "'64'"),
        (
            "v",
            {"backend": "aot", "device": "cuda"},
            "target 'native', which is compiled for the CPU.*eager or jit",
        ),
        ("v", {"backend": "jit", "target": "native"}, "'target'"),
        ("v", {"backend": "jit", "threads": 2}, "'threads'"),
    ],
)
def test_mistakes_name_variant_and_value(name, entry, telling):
    with pytest.raises(ConfigError, match=telling) as raised:
        Variant.from_mapping(name, entry)
    assert name in str(raised.value)


def test_an_aot_artifact_of_a_cuda_target_may_run_on_cuda():
    assert Variant("v", Backend.AOT, "cuda_sm90", Device.CUDA).device is Device.CUDA


def test_settings_import_no_heavy_library():
    code = (
        "import sys, soaflow.infer.variants, soaflow.infer.devices\n"
        "assert not {'torch', 'numpy', 'h5py'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
