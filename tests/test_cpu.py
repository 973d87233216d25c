"""The CPU of this machine, and emulated ones where qemu-user is there."""

import platform
import shutil
import subprocess
import sys

import numpy as np
import pytest

from soaflow import cpu as module
from soaflow.cpu import Cpu, this_cpu

EMULATED = {"Nehalem": 2, "Haswell": 3}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="levels are x86-64's")
def test_the_level_is_what_the_c_library_says():
    loader = subprocess.run(
        ["/lib64/ld-linux-x86-64.so.2", "--help"], capture_output=True, text=True, check=True
    )
    supported = [line.split()[0] for line in loader.stdout.splitlines() if "(supported" in line]
    assert this_cpu().level == max(int(name[-1]) for name in supported if name.startswith("x86-64-v"))


def test_extensions_that_are_missing():
    cpu = Cpu("Test CPU", "x86_64", 3, frozenset({"avx512f"}))
    assert cpu.missing(["avx2", "sse2", "avx512f"]) == ()
    assert cpu.missing(["avx512f", "avx512bw", "amx_tile"]) == ("amx_tile", "avx512bw")
    assert cpu.describe() == "Test CPU (x86-64-v3)"


def test_the_kernel_is_believed_only_where_the_cpu_agrees(monkeypatch):
    """Under an emulator the kernel tells of the real CPU."""
    flags = ("avx512f", "avx512_vnni", "amx_tile", "avx2")
    monkeypatch.setattr(module, "_kernel_list", lambda _: ("Real CPU", flags))
    asked = {
        "x86v2": True,
        "x86v3": True,
        "x86v4": False,
        "avx512f": False,
        "avx512vnni": False,
        "avx2": True,
    }
    monkeypatch.setattr(module, "_asked_by_numpy", lambda: asked)
    emulated = this_cpu.__wrapped__()
    assert (emulated.level, emulated.extensions) == (3, frozenset())
    assert emulated.model == "emulated on Real CPU"
    monkeypatch.setattr(module, "_asked_by_numpy", lambda: dict.fromkeys(asked, True))
    real = this_cpu.__wrapped__()
    assert (real.level, real.model) == (4, "Real CPU")
    assert real.extensions == {"avx512_vnni", "amx_tile"}


def test_numpy_names_the_levels():
    """A later NumPy that does not would make every CPU look like the baseline."""
    assert {"X86_V2", "X86_V3", "X86_V4"} <= set(np._core._multiarray_umath.__cpu_features__)


@pytest.mark.parametrize("name", EMULATED)
def test_an_emulated_cpu_is_seen(name):
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip("qemu-x86_64 is not installed: the emulated CPUs were not tried")
    code = "from soaflow.cpu import this_cpu; print(this_cpu().level, *this_cpu().extensions)"
    shown = subprocess.run(
        [emulator, "-cpu", name, sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == [str(EMULATED[name])]
