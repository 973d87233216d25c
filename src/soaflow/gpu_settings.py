"""Torch's settings for work on a GPU: the same bits twice and full precision, if not asked for less.

The invariant: on leaving `settings_applied` torch and the environment are as they were. This module imports
torch only where settings are applied, as every job parses the configuration.

>>> GpuSettings(tf32=True).differing()
{'tf32': True}
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any

from soaflow.errors import ConfigError, DeviceError

WORKSPACE_VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
"""Read by cuBLAS when it starts, and by torch at its first product under deterministic algorithms."""

_FIXED_WORKSPACE = ":4096:8"

_started_with: list[str | None] = []
"""The variable's value when CUDA started in this process, once it has started within `settings_applied`."""


@dataclass(frozen=True, slots=True)
class GpuSettings:
    """What torch may do on a GPU.

    Parameters
    ----------
    tf32
        Whether products and convolutions of float32 may round their factors to 10 bits.
    deterministic_algorithms
        Whether torch uses algorithms that give the same bits each time, and refuses what has none.
    cublas_workspace
        Whether cuBLAS has workspaces of a fixed size, without which its sums may change with what else
        runs.
    reduced_precision_sums
        Whether products of float16 and bfloat16 may add up parts in these types.
    cudnn_benchmark
        Whether cuDNN tries its convolutions for each new shape and takes the fastest.

    Raises
    ------
    ConfigError
        If a value is no bool, or torch would refuse the settings together.
    """

    tf32: bool = False
    deterministic_algorithms: bool = True
    cublas_workspace: bool = True
    reduced_precision_sums: bool = False
    cudnn_benchmark: bool = False

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if type(value) is not bool:
                raise ConfigError(f"key '{name}' is {value!r}: give true or false")
        if self.deterministic_algorithms and not self.cublas_workspace:
            raise ConfigError(
                "key 'cublas_workspace' is false, and torch's deterministic algorithms need it: "
                "set deterministic_algorithms to false too, or leave cublas_workspace out"
            )

    def differing(self) -> dict[str, bool]:
        """Return the settings that are not the defaults."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }


@contextmanager
def settings_applied(settings: GpuSettings) -> Iterator[None]:
    """Let torch work with settings during the block, and as before afterwards.

    Parameters
    ----------
    settings
        Of the variant. They are set on a machine without a GPU too, where they change nothing.

    Raises
    ------
    DeviceError
        If CUDA has started already, with another workspace for cuBLAS.
    """
    with _workspace(_FIXED_WORKSPACE if settings.cublas_workspace else None), _restored():
        _apply(settings)
        yield


@contextmanager
def _workspace(wanted: str | None) -> Iterator[None]:
    torch, before = _torch(), os.environ.get(WORKSPACE_VARIABLE)
    if torch.cuda.is_initialized():
        started = _started_with[0] if _started_with else before
        if started != wanted:
            raise DeviceError(
                f"CUDA has started in this process with {WORKSPACE_VARIABLE} {started or 'unset'}, and the "
                f"variant needs it {wanted or 'unset'}: run the variant in a process of its own"
            )
    _set_variable(wanted)
    try:
        yield
    finally:
        _set_variable(before)
        if torch.cuda.is_initialized() and not _started_with:
            _started_with.append(wanted)


def _set_variable(value: str | None) -> None:
    if value is None:
        os.environ.pop(WORKSPACE_VARIABLE, None)
    else:
        os.environ[WORKSPACE_VARIABLE] = value


@contextmanager
def _restored() -> Iterator[None]:
    """Set all that `_apply` touches back to what it was before the block."""
    torch = _torch()
    precision = torch.get_float32_matmul_precision()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    before = [(owner, name, getattr(owner, name)) for owner, name in _flags()]
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        for owner, name, value in before:
            setattr(owner, name, value)


def _flags() -> list[tuple[Any, str]]:
    """Return the owner and the name of each flag, in an order in which they can be set back."""
    torch = _torch()
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    return [
        (products, "fp32_precision"),
        (torch.backends.mkldnn.matmul, "fp32_precision"),
        (cudnn, "allow_tf32"),
        (cudnn.conv, "fp32_precision"),
        (cudnn.rnn, "fp32_precision"),
        (cudnn, "deterministic"),
        (cudnn, "benchmark"),
        (torch.utils.deterministic, "fill_uninitialized_memory"),
        (products, "allow_fp16_reduced_precision_reduction"),
        (products, "allow_bf16_reduced_precision_reduction"),
    ]


def _apply(settings: GpuSettings) -> None:
    torch = _torch()
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    # The first call would reach products on the CPU too. It and the flag of cuDNN set torch's old and new
    # names of a flag alike; where one of a pair is set alone, torch refuses to read the other.
    on_cpu = torch.backends.mkldnn.matmul.fp32_precision
    torch.set_float32_matmul_precision("high" if settings.tf32 else "highest")
    torch.backends.mkldnn.matmul.fp32_precision = on_cpu
    cudnn.allow_tf32 = settings.tf32
    torch.use_deterministic_algorithms(settings.deterministic_algorithms)
    # It is for finding reads of memory that nobody wrote, and costs a kernel for each tensor.
    torch.utils.deterministic.fill_uninitialized_memory = False
    cudnn.deterministic = settings.deterministic_algorithms
    cudnn.benchmark = settings.cudnn_benchmark
    products.allow_fp16_reduced_precision_reduction = settings.reduced_precision_sums
    products.allow_bf16_reduced_precision_reduction = settings.reduced_precision_sums


def _torch() -> Any:
    """Return torch, whose modules of flags have attributes that their stubs do not name."""
    import torch  # noqa: PLC0415  not in every job

    return torch
