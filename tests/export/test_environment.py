import os
import subprocess
import sys

import pytest

from soaflow.errors import ExportError
from soaflow.export.aot import write_aot
from soaflow.export.environment import environment_of_build, prepare_environment, require_environment
from soaflow.targets import find_target

NATIVE, V3 = find_target("native"), find_target("x86-64-v3")
SETTINGS = {
    "TORCHINDUCTOR_FREEZING": "1",
    "TORCHINDUCTOR_CPP_ENABLE_UNSAFE_MATH_OPT_FLAG": "1",
    "AOT_INDUCTOR_DEBUG_COMPILE": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "TRITON_F32_DEFAULT": "tf32",
    "PTXAS_OPTIONS": "-O0",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_for_torchs_compiler_is_refused_and_taken_out(monkeypatch, name):
    require_environment(NATIVE, packs_weights=True)
    monkeypatch.setenv(name, "1")
    with pytest.raises(ExportError, match=f"{name} changes what torch compiles, .*: unset it, or build with"):
        require_environment(NATIVE, packs_weights=False)
    prepare_environment(NATIVE)
    assert name not in os.environ
    require_environment(NATIVE, packs_weights=True)


@pytest.mark.parametrize(
    "name",
    [
        "TORCHINDUCTOR_CACHE_DIR",
        "TORCH_LOGS",
        "SOME_TORCHINDUCTOR_FREEZING",
        "TRITON_CACHE_DIR",
        "TRITON_LIBCUDA_PATH",
    ],
)
def test_what_changes_no_build_is_left_alone(monkeypatch, name):
    monkeypatch.setenv(name, "/somewhere")
    require_environment(NATIVE, packs_weights=True)
    prepare_environment(None)
    assert os.environ[name] == "/somewhere"


def test_weights_are_packed_in_a_process_that_saw_the_target_alone(monkeypatch):
    for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA"):
        monkeypatch.setenv(name, "avx512")
    prepare_environment(None)
    require_environment(V3, packs_weights=False)
    with pytest.raises(ExportError, match="weights cannot be packed for target x86-64-v3 in this process"):
        require_environment(V3, packs_weights=True)
    prepare_environment(V3)
    require_environment(V3, packs_weights=True)
    assert environment_of_build().items() >= V3.build_environment().items()


@pytest.mark.parametrize("name", ["ATEN_CPU_CAPABILITY", "CPLUS_INCLUDE_PATH"])
def test_what_a_build_sees_is_told(monkeypatch, name):
    monkeypatch.delenv(name, raising=False)
    assert name not in environment_of_build()
    monkeypatch.setenv(name, "one")
    assert environment_of_build()[name] == "one"


READ_BY_TORCH = """
from soaflow.export.environment import prepare_environment
if {prepared}:
    prepare_environment(None)
from torch._inductor import config
print(config.freezing, config.cpp.enable_unsafe_math_opt_flag)
"""


@pytest.mark.parametrize(("prepared", "read"), [(False, "True True"), (True, "False False")])
def test_torch_reads_what_was_set_unless_the_process_was_prepared(prepared, read):
    """The fault that this is there for, shown with torch itself."""
    done = subprocess.run(
        [sys.executable, "-c", READ_BY_TORCH.format(prepared=prepared)],
        env={**os.environ, **SETTINGS},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == read


def test_a_build_is_refused_before_it_is_begun(workshop, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_FREEZING", "1")
    with pytest.raises(ExportError, match="TORCHINDUCTOR_FREEZING changes what torch compiles"):
        write_aot(workshop.program("NormalisationFirst"), "native", tmp_path / "out" / "Net.pt2")
    assert not (tmp_path / "out").exists()


def test_no_torch_is_imported():
    code = "import sys, soaflow.export.environment; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
