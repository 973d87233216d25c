"""What torch, Inductor and Triton believe in while they compile for an H100 that is not there.

It needs a torch that is built with CUDA, Triton and the CUDA toolkit, but neither a GPU nor a driver. All is
compiled by the tools that compile on a GPU. Nothing runs: a kernel that Inductor tries does nothing, and one
that it times is an error. No memory is on a GPU, so weights are fakes, whose bytes the library does not have.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch._subclasses import FakeTensor
from torch.export import ExportedProgram
from torch.utils._pytree import tree_map_only

from soaflow.export import gpu_build

PROPERTIES = SimpleNamespace(
    name="NVIDIA H100 80GB HBM3",
    major=9,
    minor=0,
    warp_size=32,
    multi_processor_count=132,
    regs_per_multiprocessor=65536,
    max_threads_per_multi_processor=2048,
    max_threads_per_block=1024,
)
"""As torch has them of a real one."""

WEIGHTS_APART = {"aot_inductor.package_constants_in_so": False, "always_keep_tensor_constants": True}
"""Settings with which Inductor asks for no weight's bytes."""


@contextmanager
def believed_in() -> Iterator[None]:
    """Let torch, Inductor and Triton see one H100 during the block.

    What they then keep in memory about it stays, so the process is to be one of its own.
    """
    from triton.runtime import driver  # noqa: PLC0415  not in every environment

    with ExitStack() as stack:
        for owner, replacements in _beliefs():
            for name, replacement in replacements.items():
                stack.enter_context(mock.patch.object(owner, name, replacement))
        stack.enter_context(mock.patch.object(driver, "_active", _triton_driver()))
        stack.enter_context(mock.patch.dict(gpu_build.OPTIONS, WEIGHTS_APART))
        yield


def with_fake_weights(program: ExportedProgram) -> ExportedProgram:
    """Let weights, constants and examples of a program be shapes, strides and types alone."""
    values = (node.meta.get("val") for node in program.graph.nodes)
    mode = next(value.fake_mode for value in values if isinstance(value, FakeTensor))

    def fake(tensor: torch.Tensor) -> torch.Tensor:
        made = mode.from_tensor(tensor.detach(), static_shapes=True)
        is_weight = isinstance(tensor, torch.nn.Parameter)
        return torch.nn.Parameter(made, requires_grad=False) if is_weight else made

    program._state_dict = tree_map_only(torch.Tensor, fake, program._state_dict)
    program._constants = tree_map_only(torch.Tensor, fake, program._constants)
    program._example_inputs = tree_map_only(torch.Tensor, fake, program._example_inputs)
    return program


def _beliefs() -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Give what stands in for functions of modules and classes of torch (seen in 2.11 and 2.13)."""
    from torch._dynamo.device_interface import CudaInterface  # noqa: PLC0415  2 s
    from torch._inductor import graph, select_algorithm  # noqa: PLC0415
    from torch._inductor.fx_passes import fuse_attention  # noqa: PLC0415
    from torch._inductor.runtime.benchmarking import benchmarker  # noqa: PLC0415
    from torch._subclasses import fake_tensor  # noqa: PLC0415

    yield (
        torch.cuda,
        {
            "is_available": lambda: True,
            "device_count": lambda: 1,
            "current_device": lambda: 0,
            "get_device_properties": _properties,
            "_exchange_device": _same_device,
            "_maybe_exchange_device": _same_device,
            "_lazy_init": _nothing,
            "get_rng_state": lambda _device="cuda": torch.zeros(16, dtype=torch.uint8),
            "set_rng_state": _nothing,
        },
    )
    # It took the functions above over when its class was made.
    yield (
        CudaInterface,
        {
            "get_device_properties": staticmethod(_properties),
            "exchange_device": staticmethod(_same_device),
            "maybe_exchange_device": staticmethod(_same_device),
        },
    )
    yield torch._C, {"_cuda_getCurrentRawStream": lambda _device: 0}
    # They take memory on the GPU: for nothing, for patterns of attention, and for kernels that are tried.
    yield fake_tensor, {"init_gpu_context": _nothing}
    yield fuse_attention, {"_sfdp_init": _nothing}
    yield select_algorithm, {"rand_strided": _on_cpu}
    # It compares addresses, and fakes have none.
    yield graph, {"is_same_tensor": lambda one, other: one is other}
    yield benchmarker, {"benchmark": _refuse_to_time, "benchmark_gpu": _refuse_to_time}


def _triton_driver() -> Any:
    """Return Triton's own driver, which asks torch for the GPU, with kernels that do nothing."""
    from triton.backends.driver import GPUDriver  # noqa: PLC0415
    from triton.backends.nvidia.driver import CudaDriver  # noqa: PLC0415

    class Driver(CudaDriver):
        def __init__(self) -> None:
            self.utils = SimpleNamespace(
                get_device_properties=lambda _device: {"max_shared_mem": 227 << 10},
                load_binary=lambda *_: (MODULE, FUNCTION, REGISTERS, SPILLS, MOST_THREADS),
                unload_module=_nothing,
            )
            self.launcher_cls = lambda *_: _nothing
            GPUDriver.__init__(self)

    return Driver()


MODULE, FUNCTION, REGISTERS, SPILLS, MOST_THREADS = 1, 1, 32, 0, 1024
"""Of a kernel that is loaded."""


def _properties(_device: object = None) -> SimpleNamespace:
    return PROPERTIES


def _same_device(_device: object) -> int:
    return 0


def _nothing(*_: object, **__: object) -> None:
    pass


def _on_cpu(size: Any, stride: Any, dtype: torch.dtype = torch.float32, **_: object) -> torch.Tensor:
    return torch.empty_strided(size, stride, dtype=dtype)


def _refuse_to_time(*_: object, **__: object) -> float:
    raise AssertionError("a kernel is timed while it is compiled")
