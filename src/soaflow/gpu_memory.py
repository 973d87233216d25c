"""How a GPU's memory that is too little is known by what torch raises."""

import torch

from soaflow.failures import any_says, with_causes

_OUT_OF_MEMORY = (
    "CUDA out of memory",
    "would exceed allowed memory. (out of memory)",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "cudaErrorMemoryAllocation",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUSOLVER_STATUS_ALLOC_FAILED",
    "CUFFT_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
)
"""What torch's two allocators, CUDA's runtime and driver, and NVIDIA's libraries say; cuDNN before version 9
and from it on. TorchScript and compiled code raise it as a plain `RuntimeError`.
"""


def says_out_of_memory(error: Exception) -> bool:
    """Tell whether an error, or one that it came from, says that a device's memory was too little.

    >>> says_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"))
    True
    >>> says_out_of_memory(RuntimeError("CUDA error: too many resources requested for launch"))
    False
    """
    known_by_type = any(isinstance(one, torch.OutOfMemoryError) for one in with_causes(error))
    return known_by_type or any_says(error, _OUT_OF_MEMORY)
