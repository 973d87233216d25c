import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from soaflow.errors import EventSourceError
from soaflow.events.casting import cast, check_castable
from soaflow.soa.layout import DTYPE_BYTES

dtypes = st.sampled_from(sorted(DTYPE_BYTES))


@given(dtypes.flatmap(lambda dtype: hnp.arrays(dtype, st.integers(0, 5))), dtypes)
def test_a_cast_keeps_the_values_or_is_refused(values, dtype):
    try:
        result = cast(values, dtype, "branch 'x'")
    except EventSourceError:
        assert values.dtype != dtype
        return
    assert result.dtype == dtype
    if values.dtype == "float64" and dtype == "float32":
        finite = np.isfinite(values)
        assert np.isfinite(result[finite]).all()
    else:
        # Python compares numbers of any kind exactly.
        assert [x for x in result.tolist() if not math.isnan(x)] == [
            x for x in values.tolist() if not math.isnan(x)
        ]
        np.testing.assert_array_equal(np.isnan(result), np.isnan(values))


@pytest.mark.parametrize(
    ("values", "dtype", "sentence"),
    [
        (np.array([1.0], np.float32), "int32", "dtype float32, which int32 would truncate"),
        (np.array([1], np.int32), "bool", "dtype int32, which bool would truncate"),
        (np.array([-1], np.int8), "uint8", "value -1, which uint8 cannot hold"),
        (np.array([256], np.int64), "uint8", "value 256, which uint8 cannot hold"),
        (np.array([2**63], np.uint64), "int64", "value 9223372036854775808, which int64 cannot hold"),
        (np.array([2**24 + 1], np.int32), "float32", "value 16777217, which float32 cannot hold"),
        (np.array([1e300]), "float32", "value 1e\\+300, which float32 cannot hold"),
    ],
)
def test_lossy_casts_are_refused(values, dtype, sentence):
    with pytest.raises(EventSourceError, match=sentence):
        cast(values, dtype, "branch 'x'")


def test_useful_casts_are_accepted():
    assert cast(np.array([2**24], np.int32), "float32", "").tolist() == [2**24]
    assert cast(np.array([True]), "float32", "").tolist() == [1]
    assert np.isinf(cast(np.array([np.inf]), "float32", "")).all()
    assert cast(np.array([], np.uint64), "int8", "").dtype == np.int8


def test_kinds_are_checked_without_values():
    with pytest.raises(EventSourceError, match="truncate"):
        check_castable(np.dtype(np.float64), "uint8", "branch 'x'")
    check_castable(np.dtype(np.int64), "uint8", "branch 'x'")
