"""Ways to run a model: which backend, for which target, on which device, in which dtype and batches.

The invariant: a `Variant` that exists can be run, given its artifact and its device. This module
imports neither torch nor NumPy, because the configuration is parsed by every job.

>>> Variant.from_mapping("aot_b64", {"backend": "aot", "batch_size": 64})  # doctest: +ELLIPSIS
Variant(name='aot_b64', backend=<Backend.AOT: 'aot'>, target='native', ..., batch_size=64, ...)
>>> REFERENCE.dtype
'float64'
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Self, TypeVar

from soaflow.errors import ConfigError
from soaflow.gpu_settings import GpuSettings
from soaflow.profiles import BALANCED, find_profile
from soaflow.soa.signature import RowRange, Signature
from soaflow.targets import FAT, NATIVE, find_target

COMPUTING_DTYPES = ("float64", "float32", "float16", "bfloat16")
"""What a model may compute in. Its inputs stay views in the items' own dtypes."""

TF32 = "tf32"
"""The name of float32 whose factors are rounded to 10 bits, beside the dtypes, where precision is meant."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Backend(StrEnum):
    """What executes the model: the Python module, its TorchScript, its compiled artifact or onnxruntime."""

    EAGER = "eager"
    JIT = "jit"
    AOT = "aot"
    ONNX = "onnx"


class Device(StrEnum):
    """Where the model runs."""

    CPU = "cpu"
    CUDA = "cuda"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run a model.

    Parameters
    ----------
    name
        An identifier; part of the names of the files that the variant's jobs write.
    backend
        What executes the model.
    target
        What the AOT artifact is built for, or `"fat"` for the one that holds several; the other backends
        do not use it.
    profile
        The build profile of the AOT artifact; the other backends do not use it.
    device
        Where the model runs.
    dtype
        What the model computes in; one of `COMPUTING_DTYPES`.
    batch_size
        Rows in one call; 0 for all rows of the shard.
    cuda_graphs
        Whether the calls of a full chunk of rows are captured and from then on given to the GPU at once; on
        device cuda alone.
    share_gpu
        Whether jobs of the variant may run on one GPU together with others that share it.
    gpu
        What torch may do on a GPU; the fields are keys of the variant's entry in the configuration.

    Raises
    ------
    ConfigError
        If a field does not fit.
    TargetError
        If there is no such target.
    """

    name: str
    backend: Backend
    target: str = NATIVE
    profile: str = BALANCED
    device: Device = Device.CPU
    dtype: str = "float32"
    batch_size: int = 0
    cuda_graphs: bool = False
    share_gpu: bool = False
    gpu: GpuSettings = field(default_factory=GpuSettings)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ConfigError(f"variant name {self.name!r} is not an identifier: use letters, digits and _")
        # Plain strings, as a workflow's parameters may carry, become the members that they name.
        object.__setattr__(self, "backend", _choice(self.name, "backend", self.backend, Backend))
        object.__setattr__(self, "device", _choice(self.name, "device", self.device, Device))
        if isinstance(self.gpu, Mapping):
            object.__setattr__(self, "gpu", _gpu_settings(self.name, self.gpu))
        target_device = "cpu" if self.target == FAT else find_target(self.target).device
        find_profile(self.profile)
        if self.backend is Backend.AOT and self.device != target_device:
            raise ConfigError(
                f"variant '{self.name}' runs an AOT artifact of target '{self.target}', which is compiled "
                f"for {target_device}, on device {self.device}: name a target for {self.device}, or set "
                f"device to {target_device}"
            )
        if self.dtype not in COMPUTING_DTYPES:
            raise ConfigError(
                f"key 'dtype' of variant '{self.name}' is {self.dtype!r}: "
                f"choose one of {', '.join(COMPUTING_DTYPES)}"
            )
        if self.backend is Backend.ONNX and (self.device != Device.CPU or self.dtype == "bfloat16"):
            key, value = ("device", self.device) if self.device != Device.CPU else ("dtype", self.dtype)
            raise ConfigError(
                f"key '{key}' of variant '{self.name}' is '{value}', which backend onnx cannot run, as it is "
                "onnxruntime on the CPU in float32, float64 or float16: choose another"
            )
        if type(self.batch_size) is not int or self.batch_size < 0:
            raise ConfigError(
                f"key 'batch_size' of variant '{self.name}' is {self.batch_size!r}: "
                "give the rows of one call, or 0 for all rows"
            )
        for key in ("cuda_graphs", "share_gpu"):
            if type(value := getattr(self, key)) is not bool:
                raise ConfigError(f"key '{key}' of variant '{self.name}' is {value!r}: give true or false")

    @classmethod
    def from_mapping(cls, name: str, entry: Mapping[str, Any]) -> Self:
        """Make a variant from a configuration's entry.

        Raises
        ------
        ConfigError
            If the name is that of the reference, or a key is missing, unknown or does not fit.
        """
        if name == REFERENCE.name:
            raise ConfigError(
                f"the name '{name}' is kept for the eager float64 run that all variants are compared "
                "with: choose another name"
            )
        gpu_keys = [one.name for one in fields(GpuSettings)]
        known = [one.name for one in fields(cls) if one.name not in ("name", "gpu")] + gpu_keys
        if unknown := sorted(set(entry) - set(known), key=str):
            raise ConfigError(f"variant '{name}' has unknown key {unknown[0]!r}: use {', '.join(known)}")
        if "backend" not in entry:
            raise ConfigError(f"variant '{name}' has no key 'backend': choose one of {', '.join(Backend)}")
        for key in ("target", "profile"):
            if key in entry and entry["backend"] != Backend.AOT:
                raise ConfigError(f"variant '{name}' has key '{key}', which only backend aot uses: remove it")
        for key in ("cuda_graphs", "share_gpu", *gpu_keys):
            if key in entry and entry.get("device") != Device.CUDA:
                raise ConfigError(f"variant '{name}' has key '{key}', which only device cuda uses: remove it")
        settings = {key: entry[key] for key in gpu_keys if key in entry}
        own = {key: value for key, value in entry.items() if key not in settings}
        return cls(name=name, gpu=_gpu_settings(name, settings), **own)

    @property
    def precision(self) -> str:
        """By which tolerances are chosen: the dtype, or `"tf32"` where float32 may be rounded to that.

        >>> Variant("v", Backend.JIT, device=Device.CUDA, gpu=GpuSettings(tf32=True)).precision
        'tf32'
        """
        return TF32 if self.gpu.tf32 and self.dtype == "float32" else self.dtype

    def differs_in_batches_only(self, other: Self) -> bool:
        """Say whether another variant runs the same in batches of another size, captured or not.

        >>> Variant("aot", Backend.AOT).differs_in_batches_only(Variant("b64", Backend.AOT, batch_size=64))
        True
        """
        in_batches = replace(self, batch_size=other.batch_size, cuda_graphs=other.cuda_graphs)
        return replace(in_batches, name=other.name) == other


def without_batch_sizes(variants: Sequence[Variant]) -> tuple[Variant, ...]:
    """Return the variants without those that differ from an earlier one in their batches alone."""
    kept: list[Variant] = []
    for variant in variants:
        if not any(variant.differs_in_batches_only(earlier) for earlier in kept):
            kept.append(variant)
    return tuple(kept)


def _gpu_settings(variant: str, entry: Mapping[str, Any]) -> GpuSettings:
    try:
        return GpuSettings(**entry)
    except ConfigError as error:
        raise ConfigError(f"variant '{variant}': {error}") from error


_Choice = TypeVar("_Choice", bound=StrEnum)


def _choice(variant: str, key: str, value: Any, choices: type[_Choice]) -> _Choice:
    try:
        return choices(value)
    except ValueError as error:
        raise ConfigError(
            f"key '{key}' of variant '{variant}' is {value!r}: choose one of {', '.join(choices)}"
        ) from error


REFERENCE = Variant("reference", Backend.EAGER, dtype="float64")
"""The run that all variants of a model are compared with."""

REFERENCE_ROWS = 1 << 14
"""Rows in one call of the reference, so that its memory does not grow with the shard."""


def reference_of(signature: Signature) -> Variant:
    """Return the reference of a model.

    One that sees all rows of some collection in each call is called once, as every call costs as much as that
    collection.

    Parameters
    ----------
    signature
        Of the model.
    """
    sees_all = any(spec.rows is RowRange.WHOLE for spec in signature.inputs)
    return REFERENCE if sees_all else replace(REFERENCE, batch_size=REFERENCE_ROWS)
