"""Whether two candidates of one measurement compute the same model, so that their times can be compared.

The invariant: this tells a wrong computation from a rounded one, and no more; how near outputs are is for
verdicts, whose tolerances nothing here depends on. So a changed tolerance measures no time again.

>>> disagreement(np.array([1.0, 2.5]), np.array([1.0, 2.0]), "float32", "float32")
'2.5 in row 1 where the first one has 2'
>>> disagreement(np.array([1.0, 2.00001]), np.array([1.0, 2.0]), "float32", "float64")
''
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

SAME_COMPUTATION: Mapping[str, float] = {
    "float64": 1e-9,
    "float32": 1e-4,
    "tf32": 2e-2,
    "float16": 5e-2,
    "bfloat16": 2e-1,
}
"""By precision that is computed in: the largest rounding, as a share of the largest value or of 1."""


def disagreement(
    values: npt.NDArray[Any], expected: npt.NDArray[Any], dtype: str, expected_dtype: str
) -> str:
    """Return where floating values are not a rounding of others, in words; empty if nowhere.

    Parameters
    ----------
    values, expected
        Of one output item, by row. Integers are not compared, as a rounded score may flip a decision.
    dtype, expected_dtype
        That they were computed in; the coarser one decides.
    """
    if not np.issubdtype(values.dtype, np.floating) or not values.size:
        return ""
    found, wanted = values.astype(np.float64), expected.astype(np.float64)
    finite = wanted[np.isfinite(wanted)]
    largest = max(1.0, float(np.abs(finite).max(initial=0.0)))
    allowed = largest * max(SAME_COMPUTATION[dtype], SAME_COMPUTATION[expected_dtype])
    near = np.isclose(found, wanted, rtol=0.0, atol=allowed, equal_nan=True)
    if near.all():
        return ""
    place = np.unravel_index(int(np.argmin(near)), near.shape)
    return f"{found[place]:.9g} in row {int(place[0])} where the first one has {wanted[place]:.9g}"
