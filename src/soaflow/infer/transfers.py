"""How blobs get to where a model runs and back, and what of them did.

The invariant: nothing here needs a device, because the CPU's jobs say too that nothing crossed.
"""

from dataclasses import dataclass
from enum import StrEnum


class Crossing(StrEnum):
    """How a blob gets to where the model runs, or from there."""

    IN_PLACE = "in place"
    LOCKED = "page-locked"
    STAGED = "staged"


@dataclass(slots=True)
class Crossings:
    """What crossed between this process and a device.

    Attributes
    ----------
    transfers_in, transfers_out
        Copies to the device and back.
    bytes_in, bytes_out
        Their bytes.
    bytes_staged
        That the host copied to or from staging buffers beside that.
    locking_seconds
        Time in which the host locked pages, or was refused it.
    """

    transfers_in: int = 0
    transfers_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    bytes_staged: int = 0
    locking_seconds: float = 0.0
