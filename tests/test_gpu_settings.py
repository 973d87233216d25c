import contextlib
import os

import pytest
import torch

from soaflow import gpu_settings
from soaflow.errors import ConfigError, DeviceError
from soaflow.gpu_settings import WORKSPACE_VARIABLE, GpuSettings, settings_applied

PRECISIONS = [
    ("generic", "all"),
    *(("cuda", op) for op in ("all", "matmul", "conv", "rnn")),
    *(("mkldnn", op) for op in ("all", "matmul", "conv", "rnn")),
]


def state():
    """All that the settings touch, read at another place than they do."""
    products = torch.backends.cuda.matmul
    return {
        **{of: torch._C._get_fp32_precision_getter(*of) for of in PRECISIONS},
        "matmul": torch.get_float32_matmul_precision(),
        "cudnn": (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic),
        "benchmark": torch.backends.cudnn.benchmark,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "fill": torch.utils.deterministic.fill_uninitialized_memory,
        "float16": products.allow_fp16_reduced_precision_reduction,
        "bfloat16": products.allow_bf16_reduced_precision_reduction,
        "workspace": os.environ.get(WORKSPACE_VARIABLE),
    }


def test_by_default_results_are_repeatable_and_of_full_precision():
    with settings_applied(GpuSettings()):
        assert not torch.backends.cuda.matmul.allow_tf32
        assert not torch.backends.cudnn.allow_tf32
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark
        assert not torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction
        assert not torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
        assert os.environ[WORKSPACE_VARIABLE] == ":4096:8"


@pytest.mark.parametrize(
    ("changed", "key", "found"),
    [
        ({"tf32": True}, ("cuda", "matmul"), "tf32"),
        ({"tf32": True}, ("cuda", "conv"), "tf32"),
        ({"deterministic_algorithms": False}, "deterministic", False),
        ({"deterministic_algorithms": False, "cublas_workspace": False}, "workspace", None),
        ({"reduced_precision_sums": True}, "float16", True),
        ({"reduced_precision_sums": True}, "bfloat16", True),
        ({"cudnn_benchmark": True}, "benchmark", True),
    ],
)
def test_each_setting_can_be_switched(changed, key, found, monkeypatch):
    monkeypatch.setenv(WORKSPACE_VARIABLE, ":16:8")
    with settings_applied(GpuSettings()):
        default = state()
    with settings_applied(GpuSettings(**changed)):
        switched = state()
    assert switched[key] == found != default[key]


@pytest.mark.parametrize("tf32", [False, True])
@pytest.mark.parametrize("before", [None, ":16:8"])
def test_torch_and_the_environment_are_left_as_they_were(tf32, before, monkeypatch):
    monkeypatch.delenv(WORKSPACE_VARIABLE, raising=False)
    if before:
        monkeypatch.setenv(WORKSPACE_VARIABLE, before)
    found = state()
    with contextlib.suppress(ZeroDivisionError), settings_applied(GpuSettings(tf32=tf32)):
        assert state() != found
        raise ZeroDivisionError
    assert state() == found


def test_precision_on_the_cpu_stays_while_a_gpu_may_round():
    with settings_applied(GpuSettings(tf32=True)):
        assert torch._C._get_fp32_precision_getter("mkldnn", "matmul") == "none"


def test_the_check_sees_a_flag_that_is_not_restored(monkeypatch):
    everything, found = gpu_settings._flags(), state()
    with gpu_settings._restored():
        monkeypatch.setattr(gpu_settings, "_flags", lambda: everything[1:])
        with settings_applied(GpuSettings()):
            pass
        assert state() != found
        monkeypatch.undo()


def test_a_workspace_that_comes_too_late_is_refused(monkeypatch):
    monkeypatch.setattr(gpu_settings, "_started_with", [])
    monkeypatch.delenv(WORKSPACE_VARIABLE, raising=False)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with (
        pytest.raises(DeviceError, match="unset, and the variant needs it :4096:8"),
        settings_applied(GpuSettings()),
    ):
        pass
    monkeypatch.setenv(WORKSPACE_VARIABLE, ":4096:8")
    with settings_applied(GpuSettings()):
        pass


def test_the_next_job_of_a_process_finds_cuda_started_with_its_workspace(monkeypatch):
    monkeypatch.delenv(WORKSPACE_VARIABLE, raising=False)
    monkeypatch.setattr(gpu_settings, "_started_with", [])
    with settings_applied(GpuSettings()):
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with settings_applied(GpuSettings(tf32=True)):
        pass
    other = GpuSettings(deterministic_algorithms=False, cublas_workspace=False)
    with pytest.raises(DeviceError, match=":4096:8, and the variant needs it unset"), settings_applied(other):
        pass


def test_deterministic_algorithms_need_the_workspace():
    with pytest.raises(ConfigError, match="set deterministic_algorithms to false too"):
        GpuSettings(cublas_workspace=False)
    with pytest.raises(ConfigError, match="key 'tf32' is 'no': give true or false"):
        GpuSettings(tf32="no")
