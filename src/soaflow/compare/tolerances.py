"""How far an output may be from its reference, by the dtype a model computes in and by output.

The invariant: a value passes when `|value - reference| <= absolute + relative * |reference|`. A NaN
matches a NaN and an infinity the same infinity, at any tolerance.

>>> general = {"float32": {"absolute": 1e-5, "relative": 1e-4}}
>>> tolerances = Tolerances.from_mapping(general, {"energy": {"float32": {"absolute": 1.0, "relative": 0.0}}})
>>> tolerances.find("energy", "float32"), tolerances.find("score", "float32")
(Tolerance(absolute=1.0, relative=0.0), Tolerance(absolute=1e-05, relative=0.0001))
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from soaflow.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The largest difference that passes: `absolute + relative * |reference|`.

    Parameters
    ----------
    absolute
        In the output's unit; 0 or more.
    relative
        Without unit; 0 or more.

    Raises
    ------
    ConfigError
        If a number is negative or not finite.
    """

    absolute: float
    relative: float

    def __post_init__(self) -> None:
        for name, value in (("absolute", self.absolute), ("relative", self.relative)):
            if not math.isfinite(value) or value < 0:
                raise ConfigError(f"the {name} tolerance is {value}: give a number of 0 or more")

    @classmethod
    def from_mapping(cls, key: str, entry: Mapping[str, Any]) -> Self:
        """Make a tolerance from the configuration's entry at `key`.

        Raises
        ------
        ConfigError
            If a key is missing or unknown, or a number is negative or not finite.
        """
        if set(entry) != {"absolute", "relative"}:
            raise ConfigError(f"{key} has the keys {', '.join(sorted(entry))}: give absolute and relative")
        try:
            return cls(float(entry["absolute"]), float(entry["relative"]))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{key}: {error}") from error


@dataclass(frozen=True, slots=True)
class Tolerances:
    """The tolerances of one model.

    Parameters
    ----------
    by_dtype
        For the outputs without their own: one tolerance for each dtype a model may compute in.
    by_output
        Of single outputs: output name, then dtype.
    """

    by_dtype: Mapping[str, Tolerance]
    by_output: Mapping[str, Mapping[str, Tolerance]]

    @classmethod
    def from_mapping(
        cls,
        general: Mapping[str, Mapping[str, Any]],
        overrides: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
        *,
        model: str = "",
    ) -> Self:
        """Make the tolerances from the configuration.

        Parameters
        ----------
        general
            The entry `tolerances`: dtype to `{absolute, relative}`.
        overrides
            The entry `models.{model}.tolerances`: output to dtype to `{absolute, relative}`.
        model
            For error messages.

        Raises
        ------
        ConfigError
            If an entry is not a tolerance.
        """
        return cls(
            {dtype: Tolerance.from_mapping(f"tolerances.{dtype}", entry) for dtype, entry in general.items()},
            {
                output: {
                    dtype: Tolerance.from_mapping(f"models.{model}.tolerances.{output}.{dtype}", entry)
                    for dtype, entry in by_dtype.items()
                }
                for output, by_dtype in (overrides or {}).items()
            },
        )

    def find(self, output: str, dtype: str) -> Tolerance:
        """Return the tolerance of an output of a variant that computes in `dtype`.

        Raises
        ------
        ConfigError
            If the configuration gives none.
        """
        found = self.by_output.get(output, {}).get(dtype, self.by_dtype.get(dtype))
        if found is None:
            raise ConfigError(
                f"there is no tolerance for output '{output}' computed in {dtype}: add tolerances.{dtype}"
            )
        return found
