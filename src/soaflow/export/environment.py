"""The environment of a process that builds: what torch, its libraries and the compiler read there.

The invariant: what is built does not depend on settings of torch's compiler that a user made for something
else. A process that builds is prepared before torch is imported; one that was not is refused what would
come out otherwise. What the C++ compiler reads is left to it, and counts in the key of the build cache. This
module imports no torch.
"""

import os
import re

from soaflow.errors import ExportError
from soaflow.targets import Target

_SETTINGS = re.compile(
    r"(TORCHINDUCTOR|AOT_?INDUCTOR|TORCHDYNAMO|TORCH_COMPILE)_(?!CACHE_DIR$)\w+"
    r"|TRITON_(?!(CACHE_DIR|HOME|\w+_PATH)$)\w+|DISABLE_PTXAS_OPT|PTXAS_OPTIONS"
)
"""Variables that change settings of torch's compiler (seen in 2.13.0) or of Triton (3.7.1).

Folders are not among them: those of caches, as each compilation has one of its own, and those of tools.
"""

_KERNELS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")
_COMPILER = (
    "COMPILER_PATH",
    "CPATH",
    "CPLUS_INCLUDE_PATH",
    "C_INCLUDE_PATH",
    "GCC_EXEC_PREFIX",
    "LIBRARY_PATH",
)


def prepare_environment(target: Target | None) -> None:
    """Make this process one that builds; call it before torch is imported.

    Parameters
    ----------
    target
        To build for; None to leave torch's own kernels to this CPU.
    """
    for name in _settings():
        del os.environ[name]
    if target is not None:
        os.environ.update(target.build_environment())


def require_environment(target: Target, *, packs_weights: bool) -> None:
    """Check that this process may build for a target.

    Parameters
    ----------
    target
        To build for.
    packs_weights
        Whether weights are packed, by kernels that must have seen no more than the target.

    Raises
    ------
    ExportError
        Naming the variable that changes what is built, or with which the kernels were not chosen.
    """
    remedy = "build with 'soaflow rebuild' or the workflow"
    if left := _settings():
        raise ExportError(
            f"the environment variable {left[0]} changes what torch compiles, and no passport would tell: "
            f"unset it, or {remedy}"
        )
    for name, value in target.build_environment().items() if packs_weights else ():
        if os.environ.get(name) != value:
            raise ExportError(
                f"weights cannot be packed for target {target.name} in this process, as {name} was not "
                f"{value} when torch was imported: {remedy}"
            )


def environment_of_build() -> dict[str, str]:
    """Return the variables of this process that a build depends on, as far as they are set."""
    return {name: os.environ[name] for name in (*_KERNELS, *_COMPILER) if name in os.environ}


def _settings() -> list[str]:
    return sorted(name for name in os.environ if _SETTINGS.fullmatch(name))
