"""AOTInductor packages, loaded the fast way.

The invariant: `torch._inductor` is not imported, because it costs seconds. Torch's public loader does
that, runs compilers to print a warning, and parses a tree again each call.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

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
        `"cpu"` or `"cuda"`.
    name
        Of the model; no other is unpacked or loaded.

    Raises
    ------
    ArtifactError
        If it is no AOTInductor package.
    """
    import torch  # noqa: PLC0415  not in every job

    single_threaded, runners, device_index = True, 1, 0 if device == "cuda" else -1
    try:
        loader = torch._C._aoti.AOTIModelPackageLoader(
            str(path), name, single_threaded, runners, device_index
        )
    except RuntimeError as error:
        raise ArtifactError(f"{path} cannot be loaded as an AOTInductor package: export it again") from error
    run: Callable[[list[torch.Tensor]], list[torch.Tensor]] = loader.run
    return run
