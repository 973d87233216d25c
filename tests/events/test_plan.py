from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from soaflow.events.plan import shard_range


@given(st.integers(0, 10**9), st.integers(1, 50))
def test_shards_follow_one_another_and_share_evenly(total, shards):
    ranges = [shard_range(total, shards, shard) for shard in range(shards)]
    assert ranges[0].start == 0
    assert ranges[-1].stop == total
    assert all(left.stop == right.start for left, right in pairwise(ranges))
    lengths = [len(events) for events in ranges]
    assert max(lengths) - min(lengths) <= 1
