"""Copies between pages of this process and a GPU, and the locking of pages for them, asked of CUDA's driver.

The invariant: every code that the driver returns is looked at, and one that is no success is an error whose
sentence has the driver's own words. Nothing here allocates memory or chooses a device: the context is the
one that torch has made current on the calling thread.

Torch has no binding for a copy of equally spaced lines. It has one for the locking of pages, through CUDA's
runtime; a refusal there, which is no error here, stays the runtime's last error, and torch raises it at its
next kernel. The driver's own calls leave nothing behind.
"""

import ctypes
from dataclasses import dataclass
from typing import Any

from soaflow.errors import DeviceError

_HOST, _DEVICE = 1, 2
"""CU_MEMORYTYPE_HOST and CU_MEMORYTYPE_DEVICE."""

_READ_ONLY = 8
"""CU_MEMHOSTREGISTER_READ_ONLY: the device only reads, so pages of a read-only map can be locked."""


class LineCopy(ctypes.Structure):
    """`CUDA_MEMCPY2D_v2` of the driver's `cuda.h`: equally long lines, equally far apart on either side."""

    _fields_ = (
        ("srcXInBytes", ctypes.c_size_t),
        ("srcY", ctypes.c_size_t),
        ("srcMemoryType", ctypes.c_uint),
        ("srcHost", ctypes.c_void_p),
        ("srcDevice", ctypes.c_ulonglong),
        ("srcArray", ctypes.c_void_p),
        ("srcPitch", ctypes.c_size_t),
        ("dstXInBytes", ctypes.c_size_t),
        ("dstY", ctypes.c_size_t),
        ("dstMemoryType", ctypes.c_uint),
        ("dstHost", ctypes.c_void_p),
        ("dstDevice", ctypes.c_ulonglong),
        ("dstArray", ctypes.c_void_p),
        ("dstPitch", ctypes.c_size_t),
        ("WidthInBytes", ctypes.c_size_t),
        ("Height", ctypes.c_size_t),
    )


@dataclass(frozen=True, slots=True)
class _Way:
    """One of the two ways of a copy: what it is called, the driver's call for one line, and its sides."""

    task: str
    of_one_line: str
    source: int
    target: int


_TO_DEVICE = _Way("copy to the GPU", "cuMemcpyHtoDAsync_v2", _HOST, _DEVICE)
_TO_HOST = _Way("copy from the GPU", "cuMemcpyDtoHAsync_v2", _DEVICE, _HOST)


@dataclass(frozen=True, slots=True)
class Lines:
    """Where lines lie on one side of a copy.

    Parameters
    ----------
    address
        Of the first line.
    pitch
        Bytes from one line to the next, at least those of a line; of no effect for one line.
    """

    address: int
    pitch: int


class CudaDriver:
    """The driver, for copies and page-locks in the current context.

    Parameters
    ----------
    library
        With the driver's functions; `libcuda.so.1` by default.

    Raises
    ------
    DeviceError
        If there is no driver.
    """

    def __init__(self, library: Any = None) -> None:
        try:
            self._library = library or ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise DeviceError(
                f"the driver of NVIDIA GPUs cannot be loaded ({error}): run where there is one, or set the "
                "variant's device to cpu"
            ) from error

    def copy_to_device(self, host: Lines, device: Lines, width: int, height: int, stream: int) -> None:
        """Put a copy of lines from this process to the device into a stream's queue.

        Parameters
        ----------
        host, device
            Where the lines are and go.
        width, height
            Bytes of a line, and lines.
        stream
            The stream's handle.

        Raises
        ------
        DeviceError
            If the driver refuses.
        """
        self._copy(_TO_DEVICE, host, device, (width, height), stream)

    def copy_to_host(self, device: Lines, host: Lines, width: int, height: int, stream: int) -> None:
        """Put a copy of lines from the device to this process into a stream's queue.

        Parameters and errors are those of `copy_to_device`.
        """
        self._copy(_TO_HOST, device, host, (width, height), stream)

    def lock_pages(self, address: int, size: int, *, read_only: bool) -> str:
        """Lock pages of this process in memory, so that the device reaches them itself.

        Parameters
        ----------
        address, size
            Of whole pages, in bytes.
        read_only
            Whether the device only reads them; then a read-only map of a file will do.

        Returns
        -------
        str
            Empty, or why the driver will not: some devices lock no read-only pages, and the kernel locks no
            writable pages of files on some file systems.
        """
        flags = _READ_ONLY if read_only else 0
        code = self._library.cuMemHostRegister_v2(
            ctypes.c_void_p(address), ctypes.c_size_t(size), ctypes.c_uint(flags)
        )
        return self._reason(code) if code else ""

    def unlock_pages(self, address: int) -> None:
        """Let pages go that `lock_pages` locked; nothing may be copying to or from them.

        Raises
        ------
        DeviceError
            If the driver refuses.
        """
        self._require("let locked pages go", self._library.cuMemHostUnregister(ctypes.c_void_p(address)))

    def _copy(self, way: _Way, source: Lines, target: Lines, size: tuple[int, int], stream: int) -> None:
        width, height = size
        if height == 1:
            # The 2D copy would refuse a line that is longer than the greatest pitch.
            code = getattr(self._library, way.of_one_line)(
                ctypes.c_void_p(target.address),
                ctypes.c_void_p(source.address),
                ctypes.c_size_t(width),
                ctypes.c_void_p(stream),
            )
        else:
            copy = LineCopy(
                **_side("src", way.source, source),
                **_side("dst", way.target, target),
                WidthInBytes=width,
                Height=height,
            )
            code = self._library.cuMemcpy2DAsync_v2(ctypes.byref(copy), ctypes.c_void_p(stream))
        self._require(way.task, code)

    def _require(self, task: str, code: int) -> None:
        if code:
            raise DeviceError(
                f"the GPU's driver did not {task}: {self._reason(code)}; run the job again, on another GPU "
                "if that does not help"
            )

    def _reason(self, code: int) -> str:
        text = ctypes.c_char_p()
        self._library.cuGetErrorString(ctypes.c_int(code), ctypes.byref(text))
        return f"{(text.value or b'unknown error').decode()} (code {code})"


def _side(side: str, memory: int, lines: Lines) -> dict[str, int]:
    """Return the fields of a `LineCopy` for its source (`"src"`) or its target (`"dst"`)."""
    pointer = "Host" if memory == _HOST else "Device"
    return {f"{side}MemoryType": memory, f"{side}{pointer}": lines.address, f"{side}Pitch": lines.pitch}
