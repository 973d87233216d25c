"""Build profiles: named options of an AOT artifact, each chosen by measurement for one kind of use.

The invariant: a profile changes how fast an artifact is and which bits it gives, never what it may be
called with. This module imports no torch.

What was measured, on one core of a Sapphire Rapids CPU with torch 2.13.0, as the time of a call relative to
that with Inductor's defaults: own kernels take 0.35 to 0.40 of it for one row of a perceptron, and 2 to 3
times as long for 4096 rows; packed weights take 7 times as long for one row, and 0.6 of it for a whole shard
of a wide perceptron in one call, which chunks give as well; matrix products tuned among ATen's make no
difference. `make profiles` measures anew.

>>> find_profile("throughput").options_for(own_kernels_fit=True)
{'freezing': True}
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from soaflow.errors import ConfigError

PACKED: Mapping[str, Any] = {"freezing": True}
"""Weights in the memory layout of oneDNN's kernels, which cost several microseconds a call."""

OWN_KERNELS: Mapping[str, Any] = {
    "freezing": True,
    "max_autotune": True,
    "max_autotune_gemm_backends": "CPP",
}
"""Matrix products compiled into the artifact, so that a call enters no library.

They do not fit convolutions, which stay calls of oneDNN, and end the process for a product of no rows.
"""


@dataclass(frozen=True, slots=True)
class Profile:
    """Named build options.

    Parameters
    ----------
    name
        As the configuration and file names have it.
    purpose
        In one phrase, for people.
    options
        Settings of `torch._inductor.config`.
    prefers_own_kernels
        Whether `OWN_KERNELS` are used in place of the options where they fit the program.
    same_bits
        Whether a row must give the same bits in a batch of any size.
    """

    name: str
    purpose: str
    options: Mapping[str, Any] = field(default_factory=dict)
    prefers_own_kernels: bool = False
    same_bits: bool = False

    @property
    def may_pack_weights(self) -> bool:
        """Whether some program's weights are packed, which takes a process prepared for the target."""
        return self.prefers_own_kernels or "freezing" in self.options

    def options_for(self, *, own_kernels_fit: bool) -> Mapping[str, Any]:
        """Return the settings for a program that own kernels fit, or do not."""
        return OWN_KERNELS if self.prefers_own_kernels and own_kernels_fit else self.options


BALANCED = "balanced"
"""The profile that is built unless another is asked for."""

PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("latency", "small calls", prefers_own_kernels=True),
        Profile(BALANCED, "calls of any size, never far from the fastest"),
        Profile("throughput", "large batches and whole shards", PACKED),
        Profile(
            "reproducible",
            "the same bits in every batch and on every CPU",
            PACKED,
            prefers_own_kernels=True,
            same_bits=True,
        ),
    )
}
"""By name."""


def find_profile(name: str) -> Profile:
    """Return a profile by name.

    Raises
    ------
    ConfigError
        If there is no such profile.
    """
    if name not in PROFILES:
        raise ConfigError(f"there is no build profile '{name}': choose one of {', '.join(PROFILES)}")
    return PROFILES[name]
