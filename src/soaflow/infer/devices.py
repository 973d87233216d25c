"""Whether this machine has the device that a variant asks for.

The invariant: nothing here needs torch or NumPy, because the workflow asks at its start.
"""

from soaflow.errors import DeviceError
from soaflow.gpu import gpu_architectures
from soaflow.infer.variants import Device


def require_device(device: Device, *, asked_by: str) -> None:
    """Check that this machine has a device.

    Parameters
    ----------
    device
        To look for.
    asked_by
        For the message, such as `"variant 'aot_gpu'"`.

    Raises
    ------
    DeviceError
        If it is not there.
    """
    if device is Device.CUDA and not gpu_architectures():
        raise DeviceError(
            f"{asked_by} runs on cuda, and this machine shows no NVIDIA GPU: run it where there is one, "
            "or set the variant's device to cpu"
        )
