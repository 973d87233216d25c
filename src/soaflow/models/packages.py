"""AOTInductor packages, loaded the fast way.

The invariant: `torch._inductor` is not imported, because it costs seconds. Torch's public loader does
that, runs compilers to print a warning, and parses a tree again each call.
"""

import contextlib
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from soaflow.claims import scratch_folder, temporary_files_in
from soaflow.errors import ArtifactError

if TYPE_CHECKING:
    import torch

MODEL_IN_PACKAGE = "model"
"""Name of the model in a package that holds one; in a fat package each has the name of its target."""


def load_package(
    path: Path | str, device: str = "cpu", name: str = MODEL_IN_PACKAGE
) -> "Callable[[list[torch.Tensor]], list[torch.Tensor]]":
    """Load one model of a package, as what is called with the list of inputs and returns the list of outputs.

    A call checks nothing: inputs that do not hold the artifact's contract are read out of bounds.

    Parameters
    ----------
    path
        Of the package; it must have been verified, as loading it runs its code.
    device
        `"cpu"` or `"cuda"`, which is torch's current GPU.
    name
        Of the model; no other is unpacked or loaded.

    Raises
    ------
    ArtifactError
        If it is no AOTInductor package, or there is no room to unpack it.
    """
    import torch  # noqa: PLC0415  not in every job

    single_threaded, runners = True, 1
    device_index = torch.cuda.current_device() if device == "cuda" else -1
    with contextlib.ExitStack() as stack:
        try:
            # What it unpacks there it may read until the last call.
            folder = stack.enter_context(scratch_folder())
            with temporary_files_in(folder):
                loader = torch._C._aoti.AOTIModelPackageLoader(
                    str(path), name, single_threaded, runners, device_index
                )
        except (OSError, RuntimeError) as error:
            raise loading_error(path, error) from error
        weakref.finalize(loader, stack.pop_all().close)
    run: Callable[[list[torch.Tensor]], list[torch.Tensor]] = loader.run
    return run


def loading_error(path: Path | str, error: Exception) -> ArtifactError:
    """Return what is said of a package that cannot be loaded, for the first line of a reason."""
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return ArtifactError(
        f"{path} cannot be loaded as an AOTInductor package ({reason}): free space or set TMPDIR to another "
        "folder if that is why, else export it again"
    )
