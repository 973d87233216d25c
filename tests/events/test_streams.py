import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soaflow.events.streams import BLOCK_EVENTS, Stream, blocks, generator


@given(st.integers(0, 5 * BLOCK_EVENTS), st.integers(0, 5 * BLOCK_EVENTS))
def test_blocks_cover_a_range_once(first, second):
    events = range(min(first, second), max(first, second))
    covered = [
        event for part in blocks(events) for event in range(part.first_event, part.first_event + part.events)
    ]
    assert covered == list(events)
    assert all(0 <= part.begin < part.end <= BLOCK_EVENTS for part in blocks(events))


def test_each_seed_stream_and_block_has_its_own_numbers():
    keys = [
        (seed, stream, block) for seed in (0, 1, 2**64 - 1) for stream in Stream for block in (0, 1, 2**40)
    ]
    drawn = {generator(*key).integers(2**63) for key in keys}
    assert len(drawn) == len(keys)
    for key in keys:
        assert generator(*key).integers(2**63) == generator(*key).integers(2**63)


def test_blocks_do_not_overlap_in_the_stream():
    # A counter in the lowest word would make block 1 a continuation of block 0, shifted by one draw.
    first, second = (generator(1, Stream.PARTICLES, block).integers(2**63, size=1000) for block in (0, 1))
    assert not np.intersect1d(first, second).size


def test_stream_numbers_stay():
    # They are part of the keys: another number gives other events to everybody.
    assert [stream.value for stream in Stream] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert BLOCK_EVENTS == 4096


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seed_out_of_range(seed):
    with pytest.raises(OverflowError):
        generator(seed, Stream.PARTICLES, 0)
