"""Counters of energy: of a GPU, and of the packages of this machine's CPU.

The invariant: what cannot be read is None and not guessed. Both count all that the device does, whoever it
does it for, and what it takes when idle. The kernel lets only an administrator read those of CPUs, unless
told otherwise: https://docs.kernel.org/power/powercap/powercap.html
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from soaflow.nvml import energy_used

_PACKAGES = "intel-rapl:[0-9]*"
"""Zones of whole packages; AMD's have this name too. Those within a package have a second number."""


@dataclass(frozen=True, slots=True)
class Energy:
    """What calls in a row took.

    Parameters
    ----------
    calls, seconds
        Their number, and how long they took.
    cpu_joules, gpu_joules
        Of all packages of the CPU, and of the GPU; None where there is no counter.
    """

    calls: int
    seconds: float
    cpu_joules: float | None
    gpu_joules: float | None


def measured_energy(call: Callable[[], object], seconds: float, gpu: str = "") -> Energy | None:
    """Call over and over for some time, and return the energy that this took; None without any counter.

    Parameters
    ----------
    call
        Returns when its work is done.
    seconds
        At least; counters move every 1 to 100 ms, so take a second or more.
    gpu
        Identity of the GPU, if one is used.
    """
    before = _counters(gpu)
    if before == (None, None):
        return None
    calls, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds or not calls:
        call()
        calls += 1
    cpu, of_gpu = _counters(gpu)
    return Energy(calls, passed, _passed(before[0], cpu), _passed(before[1], of_gpu))


def cpu_energy_used(root: Path = Path("/")) -> dict[str, tuple[float, float]] | None:
    """Return what each package of the CPU has used, in joules, and at how much its counter begins anew.

    Parameters
    ----------
    root
        Where `sys` is.

    Returns
    -------
    dict or None
        By name of the zone; None without a counter that may be read.
    """
    found = {}
    for zone in sorted((root / "sys/class/powercap").glob(_PACKAGES)):
        if zone.name.count(":") > 1:
            continue
        try:
            values = [
                int((zone / name).read_text(encoding="ascii"))
                for name in ("energy_uj", "max_energy_range_uj")
            ]
        except (OSError, ValueError):
            return None
        found[zone.name] = values[0] / 1e6, values[1] / 1e6
    return found or None


def _counters(
    gpu: str,
) -> tuple[dict[str, tuple[float, float]] | None, dict[str, tuple[float, float]] | None]:
    used = energy_used(gpu) if gpu else None
    return cpu_energy_used(), None if used is None else {gpu: (used, 0.0)}


def _passed(
    before: dict[str, tuple[float, float]] | None, after: dict[str, tuple[float, float]] | None
) -> float | None:
    """Return the joules between two readings, of counters that may have begun anew once.

    >>> _passed({"a": (9.0, 10.0), "b": (1.0, 10.0)}, {"a": (2.0, 10.0), "b": (1.5, 10.0)})
    3.5
    """
    if before is None or after is None or before.keys() != after.keys():
        return None
    differences = ((after[name][0] - before[name][0], after[name][1]) for name in before)
    return sum(joules + limit if joules < 0 else joules for joules, limit in differences)
