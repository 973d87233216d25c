"""The NVIDIA GPUs that this process may use, asked of the driver without torch.

The invariant: nothing here needs a GPU, a driver or torch; without them there are none. The order is that of
the driver, and so of torch: of the devices in `$CUDA_VISIBLE_DEVICES`, or of all. The driver alone reads that
variable, which may name devices by number, by UUID or by the beginning of one. Of a GPU that is split (MIG) a
process sees parts, and never the whole; by the driver one part, or one of each instance.
"""

import ctypes
import importlib.util
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of the CUDA driver API."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU.

    Parameters
    ----------
    number
        Among those that this process may use.
    architecture
        Such as `"sm_90"`.
    identity
        Its UUID, the same in every process of the machine, such as `"GPU-8b2c..."`; of a part of a GPU (MIG)
        that of the part, such as `"MIG-c6d4..."`.
    """

    number: int
    architecture: str
    identity: str

    @property
    def compute_capability(self) -> str:
        """Of the architecture, as NVIDIA writes it.

        >>> Gpu(0, "sm_121", "GPU-0").compute_capability
        '12.1'
        """
        return compute_capability(self.architecture)


def compute_capability(architecture: str) -> str:
    """Return the compute capability of an architecture.

    >>> compute_capability("sm_90a"), compute_capability("sm_120")
    ('9.0', '12.0')
    """
    digits = architecture.removeprefix("sm_").rstrip("abcdefghijklmnopqrstuvwxyz")
    return f"{digits[:-1]}.{digits[-1]}"


def gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that this process may use; none without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return ()
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return ()
    return tuple(
        Gpu(number, _architecture(driver, number), _identity(driver, number)) for number in range(count.value)
    )


def gpu_architectures() -> tuple[str, ...]:
    """Return the architecture of each GPU, such as `"sm_90"`; empty without a driver."""
    return tuple(gpu.architecture for gpu in gpus())


@cache
def cuda_of_torch() -> str:
    """Return the version of CUDA that the installed torch is built with; empty for a build for the CPU.

    It is read from a file of torch's, as an import takes seconds.
    """
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return ""
    version = Path(found.origin).with_name("version.py")
    text = version.read_text(encoding="utf-8") if version.exists() else ""
    named = re.search(r"""^cuda\b[^=]*=\s*['"]([\d.]+)['"]""", text, flags=re.MULTILINE)
    return named[1] if named else ""


def _architecture(driver: ctypes.CDLL, number: int) -> str:
    parts = []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int(0)
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, number)
        parts.append(value.value)
    return f"sm_{parts[0]}{parts[1]}"


def _identity(driver: ctypes.CDLL, number: int) -> str:
    """Return the UUID as NVIDIA's tools print it, with the word for a whole GPU or for a part of one."""
    # The older call gives the UUID of the GPU, and the newer one that of the part that the process may use.
    whole, used = _uuid(driver.cuDeviceGetUuid, number), _uuid(driver.cuDeviceGetUuid_v2, number)
    return f"{'GPU' if used == whole else 'MIG'}-{used}"


def _uuid(ask: Callable[..., int], number: int) -> uuid.UUID:
    content = (ctypes.c_ubyte * 16)()
    ask(ctypes.byref(content), number)
    return uuid.UUID(bytes=bytes(content))
