"""Where blobs are while the model runs: in place on the CPU, or moved once to a GPU.

The invariant: on the CPU nothing moves. On another device each input blob goes over in one transfer
and each output blob comes back in one, whatever the number of batches; views are made where the
blob then is. Torch is imported only by the functions that move something, so that the workflow can
ask for a device without it.
"""

from typing import TYPE_CHECKING, Any, Protocol

from soaflow.errors import DeviceError
from soaflow.gpu import gpu_architectures
from soaflow.infer.variants import Device
from soaflow.soa.tensor_library import TensorLibrary, torch_library

if TYPE_CHECKING:
    import torch


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


class Place(Protocol):
    """Brings blobs to where the model runs and back, and counts what it moves.

    Attributes
    ----------
    tensors
        That makes the tensors there.
    transfers_in, transfers_out
        Blobs moved to the device and back.
    bytes_in, bytes_out
        Their bytes.
    """

    tensors: TensorLibrary
    transfers_in: int
    transfers_out: int
    bytes_in: int
    bytes_out: int

    def bring_in(self, blob: Any) -> Any:
        """Return an input blob (uint8, shape `(blob_bytes,)`) where the model reads it."""

    def output_for(self, blob: Any) -> Any:
        """Return the blob that the job writes outputs to, for a mapped output blob."""

    def take_out(self, written: Any, blob: Any) -> None:
        """Bring what was written to `output_for(blob)` into the mapped output blob."""

    def synchronize(self) -> None:
        """Wait until the device has done all it was given."""


class InPlace:
    """The CPU: the model reads and writes the maps themselves.

    Parameters
    ----------
    tensors
        That makes the tensors; torch's by default.
    """

    def __init__(self, tensors: TensorLibrary | None = None) -> None:
        self.tensors = tensors or torch_library()
        self.transfers_in = self.transfers_out = self.bytes_in = self.bytes_out = 0

    def bring_in(self, blob: Any) -> Any:
        """Return the map itself."""
        return blob

    def output_for(self, blob: Any) -> Any:
        """Return the map itself."""
        return blob

    def take_out(self, written: Any, blob: Any) -> None:
        """Do nothing: the outputs are in the map already."""

    def synchronize(self) -> None:
        """Do nothing: the CPU does not run ahead."""


class OnDevice:
    """A device with its own memory.

    Parameters
    ----------
    device
        Any device of torch; the CPU stands for one in tests.

    Raises
    ------
    DeviceError
        If it is a GPU that torch cannot use.
    """

    def __init__(self, device: "torch.device") -> None:
        import torch  # noqa: PLC0415 - the workflow imports this module without torch

        if device.type == "cuda" and not torch.cuda.is_available():
            raise DeviceError(
                "the job runs on cuda, and torch finds no GPU that it can use: run it on a machine with a "
                "GPU and a CUDA build of torch, or set the variant's device to cpu"
            )
        self.tensors = torch_library()
        self.device = device
        self.transfers_in = self.transfers_out = self.bytes_in = self.bytes_out = 0

    def bring_in(self, blob: "torch.Tensor") -> "torch.Tensor":
        """Copy a blob to the device in one transfer."""
        self.transfers_in += 1
        self.bytes_in += blob.numel()
        return blob.to(self.device, copy=True)

    def output_for(self, blob: "torch.Tensor") -> "torch.Tensor":
        """Return zeros on the device: the padding of an output blob is zero."""
        return blob.new_zeros(blob.numel(), device=self.device)

    def take_out(self, written: "torch.Tensor", blob: "torch.Tensor") -> None:
        """Copy a blob from the device in one transfer."""
        self.transfers_out += 1
        self.bytes_out += written.numel()
        blob.copy_(written)

    def synchronize(self) -> None:
        """Wait for the device, which runs ahead of the host."""
        import torch  # noqa: PLC0415 - as above

        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def place_for(device: Device, tensors: TensorLibrary | None = None) -> Place:
    """Return the place of a variant's device.

    Parameters
    ----------
    device
        Of the variant.
    tensors
        That makes the tensors on the CPU; torch's by default, and on other devices always.

    Raises
    ------
    DeviceError
        If the device is not there.
    """
    if device is Device.CPU:
        return InPlace(tensors)
    import torch  # noqa: PLC0415 - as above

    return OnDevice(torch.device(device.value))
