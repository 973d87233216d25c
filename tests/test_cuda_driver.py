import ctypes

import numpy as np
import pytest
from fake_cuda import FakeDriver, FakeStream

from soaflow import cuda_driver
from soaflow.cuda_driver import CudaDriver, LineCopy, Lines
from soaflow.errors import DeviceError

OFFSETS = {  # of CUDA_MEMCPY2D_v2 in cuda.h of CUDA 13.0, as a C compiler lays it out for x86-64
    "srcXInBytes": 0,
    "srcY": 8,
    "srcMemoryType": 16,
    "srcHost": 24,
    "srcDevice": 32,
    "srcArray": 40,
    "srcPitch": 48,
    "dstXInBytes": 56,
    "dstY": 64,
    "dstMemoryType": 72,
    "dstHost": 80,
    "dstDevice": 88,
    "dstArray": 96,
    "dstPitch": 104,
    "WidthInBytes": 112,
    "Height": 120,
}


@pytest.fixture
def library():
    return FakeDriver()


@pytest.fixture
def stream():
    return FakeStream()


def pages(library, size):
    """Locked memory of whole pages, as bytes and their address."""
    memory = np.zeros(size + 4096, np.uint8)
    begin = -memory.ctypes.data % 4096
    array = memory[begin : begin + size]
    assert CudaDriver(library).lock_pages(array.ctypes.data, size, read_only=False) == ""
    return array, array.ctypes.data


def test_the_structure_is_that_of_the_drivers_header():
    assert {name: getattr(LineCopy, name).offset for name, _ in LineCopy._fields_} == OFFSETS
    assert ctypes.sizeof(LineCopy) == 128


@pytest.mark.parametrize(("height", "pitch"), [(1, 100), (3, 300)])
def test_lines_go_to_the_device_and_back_when_their_stream_comes_to_them(library, stream, height, pitch):
    driver = CudaDriver(library)
    host, host_address = pages(library, 8192)
    host[:] = np.random.default_rng(1).integers(0, 256, 8192, np.uint8)
    before = host.copy()
    device = np.zeros(2000, np.uint8)
    handle = stream.cuda_stream
    there, here = Lines(device.ctypes.data + 50, 120), Lines(host_address + 7, pitch)
    driver.copy_to_device(here, there, 100, height, handle)
    assert not device.any()
    stream.run()
    for line in range(height):
        found = device[50 + 120 * line :][:100]
        assert np.array_equal(found, before[7 + pitch * line :][:100])
    assert np.count_nonzero(device[150:170]) == 0
    host[:] = 0
    driver.copy_to_host(there, here, 100, height, handle)
    stream.run()
    kept = np.zeros(8192, bool)
    for line in range(height):
        kept[7 + pitch * line :][:100] = True
    assert np.array_equal(host, np.where(kept, before, 0))
    assert library.copies == [("in", 100, height), ("out", 100, height)]


def test_pages_are_locked_for_reading_or_for_both_and_let_go(library):
    driver = CudaDriver(library)
    assert driver.lock_pages(4096, 8192, read_only=True) == ""
    assert driver.lock_pages(16384, 4096, read_only=False) == ""
    assert library.locked == {4096: (8192, 8), 16384: (4096, 0)}
    driver.unlock_pages(4096)
    driver.unlock_pages(16384)
    assert library.locked == {}


def test_why_pages_are_not_locked_is_told():
    driver = CudaDriver(FakeDriver(refuses=lambda *_: True))
    assert driver.lock_pages(4096, 4096, read_only=True) == "operation not supported (code 801)"


@pytest.mark.parametrize("height", [1, 2])
@pytest.mark.parametrize(("way", "telling"), [("in", "copy to the GPU"), ("out", "copy from the GPU")])
def test_a_copy_that_the_driver_refuses_is_a_sentence(library, stream, way, telling, height):
    library.failing = way
    driver = CudaDriver(library)
    copy = driver.copy_to_device if way == "in" else driver.copy_to_host
    with pytest.raises(DeviceError, match=rf"driver did not {telling}: operation not supported \(code 801\)"):
        copy(Lines(4096, 8), Lines(4096, 8), 8, height, stream.cuda_stream)


def test_pages_that_are_not_locked_cannot_be_let_go(library):
    with pytest.raises(DeviceError, match=r"did not let locked pages go: unknown error \(code 1\)"):
        CudaDriver(library).unlock_pages(4096)


def test_a_machine_without_a_driver_is_told_so(monkeypatch):
    def missing(_name):
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(cuda_driver.ctypes, "CDLL", missing)
    with pytest.raises(
        DeviceError, match=r"cannot be loaded \(libcuda\.so\.1.*set the variant's device to cpu"
    ):
        CudaDriver()
