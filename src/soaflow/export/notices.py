"""Warnings of torch about itself, silenced where they arise and nowhere else."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from torch.jit._trace import TracerWarning


@contextmanager
def torch_deprecations_ignored() -> Iterator[None]:
    """Silence what torch says of its own: TorchScript, trees, buffers and softmax (2.11), TF32."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=r"`torch\.jit\..*` is deprecated", category=DeprecationWarning
        )
        warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)
        warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores", category=UserWarning)
        warnings.filterwarnings("ignore", message="The given buffer is not writable", category=UserWarning)
        warnings.filterwarnings("ignore", message=r"\nOnline softmax is disabled", category=UserWarning)
        yield


@contextmanager
def tracer_warnings_ignored() -> Iterator[None]:
    """Silence what a trace says it may bake in: `soaflow.export.check` finds what it did bake in."""
    with torch_deprecations_ignored(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=TracerWarning)
        yield
