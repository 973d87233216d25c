"""What an AOT artifact can be built for.

The invariant: a target says everything that the compiler must know of the machine that will run the
artifact. This module imports no torch.

>>> find_target("native").inductor_options()
{'cpp.march': None, 'cpp.simdlen': None}
"""

from collections.abc import Mapping
from dataclasses import dataclass

from soaflow.errors import ExportError


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of machine.

    Parameters
    ----------
    name
        As the configuration and file names have it.
    device
        `"cpu"` or `"cuda"`.
    march
        The compiler's `-march`; None for the CPU of the building machine.
    simdlen
        Bits of the vector registers to use, 1 for none; None for the widest of the building machine.
        Without `march` it does not keep wider instructions out.
    """

    name: str
    device: str = "cpu"
    march: str | None = None
    simdlen: int | None = None

    def inductor_options(self) -> dict[str, str | int | None]:
        """Return the target as settings of `torch._inductor.config`."""
        return {"cpp.march": self.march, "cpp.simdlen": self.simdlen}


TARGETS: Mapping[str, Target] = {"native": Target("native")}
"""By name."""


def find_target(name: str) -> Target:
    """Return a target by name.

    Raises
    ------
    ExportError
        If there is no such target.
    """
    if name not in TARGETS:
        raise ExportError(f"there is no target '{name}': choose one of {', '.join(TARGETS)}")
    return TARGETS[name]
