"""Every row on one side, every event on one side, both sides everywhere in the file."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soaflow.errors import StorageError
from soaflow.soa.layout import Item, ItemKind, Layout
from soaflow.soa.split import MOST_STRIPES, split_collection, split_rows
from soaflow.soa.storage import EVENTS, read_header, writing

COUNTS = st.lists(st.sampled_from([0, 0, 1, 1, 2, 3, 40]), max_size=120)
FRACTIONS = st.floats(0, 1, exclude_max=True) | st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.99])


def rows_of(ranges):
    return [row for begin, end in ranges for row in range(begin, end)]


@given(COUNTS, FRACTIONS)
def test_no_event_is_on_both_sides_and_no_row_on_neither(counts, fraction):
    event = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    split = split_rows(len(event), fraction, event)
    training, validation = rows_of(split.training), rows_of(split.validation)
    assert sorted(training + validation) == list(range(len(event)))
    assert (len(training), len(validation)) == (split.training_rows, split.validation_rows)
    assert not set(event[training]) & set(event[validation])
    assert len(set(event[validation])) == int(np.count_nonzero(counts) * fraction)
    for side in (split.training, split.validation):
        assert all(begin < end for begin, end in side)
        assert all(end < begin for (_, end), (begin, _) in itertools.pairwise(side))
        assert len(side) <= MOST_STRIPES


@given(st.integers(0, 3000), FRACTIONS)
def test_rows_without_events_are_their_own_events(rows, fraction):
    split = split_rows(rows, fraction)
    assert split == split_rows(rows, fraction, np.arange(rows))
    assert split.validation_rows == int(rows * fraction)


@given(st.integers(50, 5000), st.sampled_from([0.1, 0.2, 0.5]))
def test_validation_is_spread_over_the_whole_file(rows, fraction):
    split = split_rows(rows, fraction)
    inside = np.zeros(rows)
    for begin, end in split.validation:
        inside[begin:end] = 1
    shares = [part.mean() for part in np.array_split(inside, min(MOST_STRIPES, int(rows * fraction)))]
    assert min(shares) > 0.2 * fraction
    assert max(shares) < 3 * fraction


def test_jets_of_events_keep_the_share():
    event = np.repeat(np.arange(200), np.random.default_rng(1).poisson(5.6, 200))
    split = split_rows(len(event), 0.2, event)
    assert split.validation_rows / len(event) == pytest.approx(0.2, abs=0.03)
    assert len(split.training) == len(split.validation) == 10


def test_no_rows_and_one_row():
    for event in (None, np.zeros(0, np.int32)):
        assert split_rows(0, 0.2, event) == split_rows(0, 0.0)
        assert split_rows(0, 0.2, event).training == split_rows(0, 0.2, event).validation == ()
    for event in (None, np.array([7], np.int32)):
        assert split_rows(1, 0.99, event).training == ((0, 1),)
    assert split_rows(9, 0.5, np.full(9, 3)).training == ((0, 9),)


def write(path, placements):
    with writing(
        path, EVENTS, {name: layout.place(rows) for name, (layout, rows, _) in placements.items()}, {}
    ) as w:
        for name, (_, _, event) in placements.items():
            if event is not None:
                w.write(name, "event", event)
    return read_header(path)


def test_the_item_event_of_a_collection_is_used(tmp_path):
    pt, event = Item("pt", "float32"), np.repeat(np.arange(40), 3)
    header = write(
        tmp_path / "a.h5",
        {
            "jets": (Layout.of(pt, Item("event", "int32")), 120, event),
            "events": (Layout.of(pt, Item("event", "uint64")), 120, event[::-1]),
            "others": (Layout.of(pt), 120, None),
            "scalars": (Layout.of(pt, Item("event", "int32", ItemKind.SCALAR)), 120, 5),
            "floats": (Layout.of(pt, Item("event", "float32")), 120, None),
        },
    )
    assert split_collection(header, "jets", 0.2) == split_rows(120, 0.2, event)
    assert split_collection(header, "jets", 0.2) != split_rows(120, 0.2)
    for name in ("events", "others", "scalars", "floats"):
        assert split_collection(header, name, 0.2) == split_rows(120, 0.2)


def test_events_out_of_order_are_refused(tmp_path):
    layout = Layout.of(Item("event", "int32"))
    header = write(tmp_path / "a.h5", {"jets": (layout, 4, [0, 1, 0, 2])})
    with pytest.raises(StorageError, match=r"a\.h5: the rows of collection 'jets' are not in the order of"):
        split_collection(header, "jets", 0.2)
    with pytest.raises(StorageError, match="no collection 'no'"):
        split_collection(header, "no", 0.2)
