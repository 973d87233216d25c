"""Casts of branch values to the dtypes of items, refused where they would lose more than a rounding.

The invariant: a value that `cast` returns is the value that went in; only a floating-point value may
be rounded to a narrower floating-point dtype, as physicists do on purpose.

>>> cast(np.array([1, 200], dtype=np.uint8), "float32", "branch 'Jet_nMuons'")
array([  1., 200.], dtype=float32)
>>> cast(np.array([1, 200], dtype=np.uint8), "int8", "branch 'Jet_nMuons'")
Traceback (most recent call last):
...
soaflow.errors.EventSourceError: branch 'Jet_nMuons' has the value 200, which int8 cannot hold: choose a \
wider dtype
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from soaflow.errors import EventSourceError


def check_castable(source: np.dtype[Any], dtype: str, label: str) -> None:
    """Check that values of one dtype can be cast to another, whatever the values are.

    Parameters
    ----------
    source
        The values' dtype.
    dtype
        The item's.
    label
        Names the values at the start of the error's sentence.

    Raises
    ------
    EventSourceError
        If it is a cast from floating point to integers, or from numbers to bool.
    """
    target = np.dtype(dtype)
    if target.kind in "iub" and source.kind not in ("b" if target.kind == "b" else "iub"):
        raise EventSourceError(
            f"{label} has dtype {source.name}, which {dtype} would truncate: choose dtype {source.name}"
        )


def cast(values: npt.NDArray[Any], dtype: str, label: str) -> npt.NDArray[Any]:
    """Cast values to an item's dtype.

    Parameters
    ----------
    values
        Of any shape.
    dtype
        The item's dtype.
    label
        Names the values at the start of the error's sentence.

    Raises
    ------
    EventSourceError
        If the cast truncates, overflows, or gives an integer that a floating-point dtype cannot
        hold exactly.
    """
    check_castable(values.dtype, dtype, label)
    target = np.dtype(dtype)
    if values.size and values.dtype.kind in "iu" and target.kind in "iuf":
        lowest, highest = _exact_integers(target)
        for value in (int(values.min()), int(values.max())):
            if not lowest <= value <= highest:
                raise EventSourceError(
                    f"{label} has the value {value}, which {dtype} cannot hold: choose a wider dtype"
                )
    if values.dtype.kind == target.kind == "f" and target.itemsize < values.dtype.itemsize:
        beyond = np.isfinite(values) & (np.abs(values) > np.finfo(target).max)
        if beyond.any():
            raise EventSourceError(
                f"{label} has the value {values[beyond][0]:g}, which {dtype} cannot hold: "
                "choose a wider dtype"
            )
    return values.astype(target, copy=False)


def _exact_integers(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the range in which a dtype holds every integer."""
    if dtype.kind == "f":
        limit = 2 ** (np.finfo(dtype).nmant + 1)
        return -limit, limit
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)
