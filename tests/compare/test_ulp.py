"""The histogram against counts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from soaflow.compare.ulp import HIGHEST, UlpHistogram


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 70)), st.integers(0, 3), st.integers(0, 20))
def test_histogram_counts_each_distance_in_its_bin(found: list[int], zeros: int, cut: int) -> None:
    histogram = UlpHistogram.empty()
    for part, more in ((found[:cut], zeros), (found[cut:], 0)):
        histogram = histogram.adding(np.array(part, np.uint64), zeros=more)
    counted = [0] * zeros + found
    for index, highest in enumerate(HIGHEST):
        over = -1 if index == 0 else HIGHEST[index - 1]
        assert histogram.counts[index] == sum(over < distance <= highest for distance in counted)
    assert (histogram.total, histogram.largest) == (len(counted), max(counted, default=0))
