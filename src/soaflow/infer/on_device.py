"""The device that a variant runs on, for as long as its job runs.

The invariant: on the CPU nothing happens, and neither torch nor what claims a GPU is imported.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from soaflow.infer.variants import Backend, Device, Variant
from soaflow.targets import find_target


@contextmanager
def device_of(variant: Variant) -> Iterator[None]:
    """Give a variant's job a GPU as torch's current one, with the variant's settings, during the block.

    Parameters
    ----------
    variant
        That runs; one on the CPU needs nothing. An AOT artifact takes a GPU of its target's architecture.

    Raises
    ------
    DeviceError
        If it runs on a GPU and there is none that fits.
    """
    if variant.device is Device.CPU:
        yield
        return
    from soaflow.gpu_job import on_gpu  # noqa: PLC0415  for a GPU alone

    architecture = find_target(variant.target).architecture if variant.backend is Backend.AOT else ""
    asked_by = f"variant '{variant.name}'"
    with on_gpu(asked_by, variant.gpu, architecture=architecture, shared=variant.share_gpu):
        yield
