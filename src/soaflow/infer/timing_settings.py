"""What the configuration says of the measurement of speed and of starts.

This module imports neither torch nor NumPy, because the configuration is parsed by every job.

>>> SpeedSettings.from_mapping({"batch_sizes": [1, 64, 0], "seconds": 0.5}).seconds_of(BRIEF)
0.5
>>> StartSettings.from_mapping({}).repetitions_of(THOROUGH)
10
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

BRIEF, THOROUGH = EFFORTS = ("brief", "thorough")
"""How long is measured: in every run, or when it is asked for."""

BATCH_SIZES = (1, 4, 16, 64, 256, 1024, 4096, 0)


@dataclass(frozen=True, slots=True)
class SpeedSettings:
    """How the speed of a model's variants is measured.

    Parameters
    ----------
    batch_sizes
        Rows of a call; 0 for the whole shard.
    seconds, thorough_seconds
        That all variants together are timed at one batch size, warm-up not counted.
    base
        The variant that ratios are quoted to; empty for the first one of the model.
    """

    batch_sizes: tuple[int, ...] = BATCH_SIZES
    seconds: float = 1.0
    thorough_seconds: float = 15.0
    base: str = ""

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any]) -> Self:
        """Make the settings from the configuration's entry, whose schema has been checked."""
        fields = dict(entry)
        if "batch_sizes" in fields:
            fields["batch_sizes"] = tuple(fields["batch_sizes"])
        return cls(**fields)

    def seconds_of(self, effort: str) -> float:
        """Return the seconds of one of `EFFORTS`."""
        return {BRIEF: self.seconds, THOROUGH: self.thorough_seconds}[effort]


@dataclass(frozen=True, slots=True)
class StartSettings:
    """How the start of a model's variants is measured.

    Parameters
    ----------
    repetitions, thorough_repetitions
        How often each variant is started.
    """

    repetitions: int = 3
    thorough_repetitions: int = 10

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any]) -> Self:
        """Make the settings from the configuration's entry, whose schema has been checked."""
        return cls(**entry)

    def repetitions_of(self, effort: str) -> int:
        """Return the repetitions of one of `EFFORTS`."""
        return {BRIEF: self.repetitions, THOROUGH: self.thorough_repetitions}[effort]
