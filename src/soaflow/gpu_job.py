"""What work on a GPU needs around it: a GPU that is nobody else's, and torch's settings.

The invariant: within the block torch's current GPU is the one that is claimed, and afterwards torch is as it
was.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from soaflow.errors import DeviceError, OutOfDeviceMemoryError
from soaflow.gpu import Gpu, gpus
from soaflow.gpu_claims import claimed_gpu
from soaflow.gpu_settings import GpuSettings, settings_applied


@contextmanager
def on_gpu(
    asked_by: str, settings: GpuSettings | None = None, *, architecture: str = "", shared: bool = False
) -> Iterator[Gpu]:
    """Claim a GPU during the block, make it torch's current one, and let torch work with settings.

    It waits while all GPUs that the process may use are claimed by others, and says so.

    Parameters
    ----------
    asked_by
        For messages, such as `"variant 'aot_gpu'"`.
    settings
        What torch may do; the defaults unless given.
    architecture
        Of the GPU, such as `"sm_90"`; any unless given.
    shared
        Whether others that share may have the GPU at the same time.

    Raises
    ------
    DeviceError
        If there is no GPU, or none of the architecture, or torch cannot use it.
    OutOfDeviceMemoryError
        If the block ends for want of the GPU's memory, whatever it raised.
    """
    shown = gpus()
    fitting = [gpu for gpu in shown if architecture in ("", gpu.architecture)]
    with claimed_gpu(fitting, asked_by=asked_by, shared=shared, needed=architecture) as gpu:
        import torch  # noqa: PLC0415  not in every job

        if not torch.cuda.is_available():
            raise DeviceError(
                f"{asked_by} needs a GPU, and torch {torch.__version__} finds none that it can use: install "
                "a torch that is built with CUDA for this driver, or run on the CPU"
            )
        with settings_applied(settings or GpuSettings()), torch.cuda.device(gpu.number):
            print(f"{asked_by} has GPU {gpu.number} of {len(shown)}: {gpu.architecture}, {gpu.identity}")
            try:
                yield gpu
            except OutOfDeviceMemoryError:
                raise
            except Exception as error:
                from soaflow.gpu_memory import says_out_of_memory  # noqa: PLC0415  as torch above

                if not says_out_of_memory(error):
                    raise
                raise OutOfDeviceMemoryError(
                    f"the memory of GPU {gpu.number}, {gpu.identity}, is too little for {asked_by}: run on a "
                    "larger GPU, or on one that nobody else uses"
                ) from None
