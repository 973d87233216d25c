"""Row ranges of mini-batches.

>>> list(batch_ranges(rows=7, batch_size=3))
[(0, 3), (3, 6), (6, 7)]
>>> list(batch_ranges(rows=7, batch_size=0))
[(0, 7)]
"""

from collections.abc import Iterator


def batch_ranges(rows: int, batch_size: int) -> Iterator[tuple[int, int]]:
    """Yield `(begin, end)` of each batch; the last may be short, and no rows give no batch.

    Parameters
    ----------
    rows
        Number of rows to cover.
    batch_size
        Rows in one batch; 0 for all rows in one.
    """
    step = batch_size or rows
    for begin in range(0, rows, step or 1):
        yield begin, min(begin + step, rows)
