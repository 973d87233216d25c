"""The NVIDIA GPUs that this process may use, asked of the driver without torch.

The invariant: nothing here needs a GPU, a driver or torch; without them there are none.
"""

import ctypes

_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of the CUDA driver API."""


def gpu_architectures() -> tuple[str, ...]:
    """Return the architecture of each GPU, such as `"sm_90"`; empty without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return ()
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return ()
    return tuple(_architecture(driver, number) for number in range(count.value))


def _architecture(driver: ctypes.CDLL, number: int) -> str:
    parts = []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int(0)
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, number)
        parts.append(value.value)
    return f"sm_{parts[0]}{parts[1]}"
