"""Which GPU a run was on, and what torch might do there.

The invariant: the GPU is torch's current one, so the one that did the work, whatever was asked for; and what
nothing says is empty and not guessed. Torch is imported only for a run on a GPU.
"""

from dataclasses import asdict, dataclass

from soaflow.gpu import cuda_of_torch
from soaflow.infer.variants import Device, Variant


@dataclass(frozen=True, slots=True)
class GpuProof:
    """A GPU, and the variant's settings for it.

    Parameters
    ----------
    name, architecture
        Of the GPU, such as `"NVIDIA H100 80GB HBM3"` and `"sm_90"`.
    driver, cuda
        Versions of the driver, and of the CUDA that torch is built with.
    cuda_graphs
        Whether calls were to be captured and replayed.
    tf32, deterministic_algorithms, cublas_workspace, reduced_precision_sums, cudnn_benchmark
        As `soaflow.gpu_settings.GpuSettings` has them.
    """

    name: str
    architecture: str
    driver: str
    cuda: str
    cuda_graphs: bool
    tf32: bool
    deterministic_algorithms: bool
    cublas_workspace: bool
    reduced_precision_sums: bool
    cudnn_benchmark: bool


def gpu_of_run(variant: Variant) -> GpuProof | None:
    """Return what a proof says of the GPU that runs a variant; None if the variant runs on the CPU.

    Parameters
    ----------
    variant
        That runs, in this process.
    """
    if variant.device is Device.CPU:
        return None
    from soaflow.nvml import driver_version  # noqa: PLC0415  for a GPU alone

    name, architecture = _current_gpu()
    return GpuProof(
        name=name,
        architecture=architecture,
        driver=driver_version(),
        cuda=cuda_of_torch(),
        cuda_graphs=variant.cuda_graphs,
        **asdict(variant.gpu),
    )


def _current_gpu() -> tuple[str, str]:
    import torch  # noqa: PLC0415  not in every job

    if not torch.cuda.is_available():
        return "", ""
    found = torch.cuda.get_device_properties(torch.cuda.current_device())
    return found.name, f"sm_{found.major}{found.minor}"
