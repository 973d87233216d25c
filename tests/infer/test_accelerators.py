"""What is asked of torch's GPU, with a recorder in its place; `tests/gpu` asks a real one."""

import contextlib

import pytest
import torch

from soaflow.errors import DeviceError, ModelError
from soaflow.infer import accelerators
from soaflow.infer.accelerators import CudaAccelerator


class RecordedCuda:
    """The calls of `torch.cuda` that are made, in order."""

    OutOfMemoryError = torch.OutOfMemoryError

    def __init__(self):
        self.calls = []
        self.failures = 0

    def is_available(self):
        return True

    def current_device(self):
        return 2

    def current_stream(self, device):
        return f"current stream of {device}"

    def synchronize(self, device):
        self.calls.append(f"synchronize {device}")

    def memory_stats(self, device):
        assert device.index == 2
        return {"num_ooms": self.failures} if self.calls else {}

    def Stream(self, device):  # noqa: N802
        cuda = self

        class Stream:
            def wait_stream(self, other):
                cuda.calls.append(f"stream on {device} waits for {other}")

            def wait_event(self, event):
                cuda.calls.append(f"stream waits for {type(event).__name__}")

        return Stream()

    def empty_cache(self):
        self.calls.append("cache emptied")

    @contextlib.contextmanager
    def stream(self, _stream):
        self.calls.append("enter")
        try:
            yield
        finally:
            self.calls.append("leave")

    def Event(self, *, enable_timing):  # noqa: N802
        cuda = self

        class Event:
            def record(self, stream):
                cuda.calls.append(f"record on {type(stream).__name__}, timing {enable_timing}")

        return Event()

    def CUDAGraph(self):  # noqa: N802
        cuda = self

        class Graph:
            def replay(self):
                cuda.calls.append("replay")

        return Graph()

    @contextlib.contextmanager
    def graph(self, _graph, *, stream):
        self.calls.append(f"capture on {type(stream).__name__}")
        yield
        self.calls.append("captured")


@pytest.fixture
def cuda(monkeypatch):
    recorded = RecordedCuda()
    monkeypatch.setattr(torch, "cuda", recorded)
    monkeypatch.setattr(accelerators, "CudaDriver", lambda: "driver")
    return recorded


def test_the_current_gpu_is_used_and_a_stream_begins_after_what_it_was_given(cuda):
    accelerator = CudaAccelerator()
    assert (str(accelerator.device), accelerator.driver) == ("cuda:2", "driver")
    accelerator.stream()
    assert cuda.calls == ["synchronize cuda:2", "stream on cuda:2 waits for current stream of cuda:2"]


def test_a_stream_is_left_whatever_happens_in_it(cuda):
    accelerator = CudaAccelerator()
    stream = accelerator.stream()
    cuda.calls.clear()
    with pytest.raises(ValueError, match="model"), accelerator.use(stream):
        raise ValueError("model")
    assert cuda.calls == ["enter", "leave"]


def test_marks_keep_their_time_and_streams_wait_for_them(cuda):
    accelerator = CudaAccelerator()
    stream = accelerator.stream()
    cuda.calls.clear()
    accelerator.wait_for(accelerator.mark(stream), stream)
    assert cuda.calls == ["record on Stream, timing True", "stream waits for Event"]


def test_work_is_captured_and_replayed(cuda):
    accelerator = CudaAccelerator()
    stream = accelerator.stream()
    cuda.calls.clear()
    replay = accelerator.captured(stream, lambda: cuda.calls.append("work"))
    replay()
    assert cuda.calls == ["capture on Stream", "work", "captured", "replay"]


SAYING_SO = [
    torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 80 GiB"
    ),
    RuntimeError(
        "CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in https://docs.nvidia.com"
    ),
    RuntimeError("CUDA error: out of memory when calling `cusparseCreate(handle)`"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"),
    RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError(
        "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript (most "
        "recent call last):\nRuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB."
    ),
]
OTHERS = [
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("CUDA error: too many resources requested for launch"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
    MemoryError("out of memory"),
]
HIDING_IT = [
    RuntimeError("run_func_(...) API call failed at model_container_runner.cpp, line 145"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"),
]


def wrapped(error):
    """An error as it comes out of a run: that of the model, from one that torch raised after the first."""
    try:
        try:
            try:
                raise error
            finally:
                raise RuntimeError("operation failed due to a previous error during capture")
        except RuntimeError as later:
            raise ModelError("the model fails on rows 0 to 7") from later
    except ModelError as found:
        return found


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("error", SAYING_SO, ids=str)
def test_too_little_memory_is_known_by_what_torch_says_of_it(error):
    accelerator = CudaAccelerator()
    assert accelerator.ran_out_of_memory(error)
    assert accelerator.ran_out_of_memory(wrapped(error))


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_other_errors_are_not_of_memory_whatever_the_allocator_met(cuda, error):
    accelerator = CudaAccelerator()
    cuda.failures = 1  # which a library may have got over
    assert not accelerator.ran_out_of_memory(error)
    assert not accelerator.ran_out_of_memory(wrapped(error))


@pytest.mark.parametrize("error", HIDING_IT, ids=str)
def test_where_an_error_may_hide_too_little_memory_the_allocator_is_asked(cuda, error):
    accelerator = CudaAccelerator()
    assert not accelerator.ran_out_of_memory(error)
    cuda.failures = 1
    assert accelerator.ran_out_of_memory(wrapped(error))
    assert not accelerator.ran_out_of_memory(error)


def test_memory_that_torch_keeps_is_given_back(cuda):
    CudaAccelerator().release_unused()
    assert cuda.calls[-1] == "cache emptied"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_that_torch_can_use_there_is_no_accelerator():
    with pytest.raises(DeviceError, match="torch finds no GPU that it can use"):
        CudaAccelerator()
