from hypothesis import given
from hypothesis import strategies as st

from soaflow.soa.batches import batch_ranges


@given(rows=st.integers(0, 500), batch_size=st.integers(0, 600))
def test_batches_cover_every_row_once_and_only_the_last_is_short(rows, batch_size):
    batches = list(batch_ranges(rows, batch_size))
    assert [row for begin, end in batches for row in range(begin, end)] == list(range(rows))
    assert all(end - begin == (batch_size or rows) for begin, end in batches[:-1])
    assert all(end > begin for begin, end in batches)


def test_no_rows_give_no_batch():
    assert list(batch_ranges(0, 0)) == list(batch_ranges(0, 64)) == []
