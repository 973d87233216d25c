"""What NVIDIA's management library says of a GPU: its name, its driver, and the energy that it has used.

The invariant: a GPU, or a part of one (MIG), is named by its identity, which does not depend on
`$CUDA_VISIBLE_DEVICES`; and what the library cannot say, or where there is none, is None or empty and not
guessed. Nothing here needs torch.

Source of the functions and limits: the header nvml.h of the driver.
"""

import ctypes
from functools import cache
from typing import Any

_TEXT_BYTES = 96
"""NVML_DEVICE_NAME_V2_BUFFER_SIZE, the longest of the texts that are asked for."""


@cache
def _library() -> Any:
    """Load and start the library once; None where there is none."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    return None if library.nvmlInit_v2() else library


def driver_version() -> str:
    """Return the version of the driver, such as `"580.159.04"`; empty without one."""
    library = _library()
    return _text(library.nvmlSystemGetDriverVersion) if library else ""


def gpu_name(identity: str) -> str:
    """Return the name of a GPU's model, with the profile of a part of one; empty if nothing says it.

    Parameters
    ----------
    identity
        As `soaflow.gpu.Gpu` has it.
    """
    device = _device(identity)
    return _text(_library().nvmlDeviceGetName, device) if device else ""


def energy_used(identity: str) -> float | None:
    """Return the energy in joules that a GPU has used since its driver was loaded, memory included.

    The counter has steps of a millijoule and moves about every 20 to 100 ms, so a difference over less than a
    second says little. GPUs before Volta, and parts of a GPU (MIG), have none.

    Parameters
    ----------
    identity
        As `soaflow.gpu.Gpu` has it.
    """
    device, millijoules = _device(identity), ctypes.c_ulonglong()
    if device is None or _library().nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(millijoules)):
        return None
    return millijoules.value / 1000


def _device(identity: str) -> ctypes.c_void_p | None:
    library, handle = _library(), ctypes.c_void_p()
    if library is None or library.nvmlDeviceGetHandleByUUID(identity.encode(), ctypes.byref(handle)):
        return None
    return handle


def _text(ask: Any, *about: Any) -> str:
    content = ctypes.create_string_buffer(_TEXT_BYTES)
    return "" if ask(*about, content, ctypes.c_uint(_TEXT_BYTES)) else content.value.decode(errors="replace")
