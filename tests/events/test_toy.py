import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soaflow.errors import EventSourceError
from soaflow.events.datasets import TOY_ITEMS, ToyDataset
from soaflow.events.images import MEAN_IMAGES
from soaflow.events.particles import MEAN_PARTICLES
from soaflow.events.streams import BLOCK_EVENTS
from soaflow.events.toy import plan_toy
from soaflow.events.tracks import LAYER_EFFICIENCY, LAYER_RADII, MEAN_TRACKS
from soaflow.soa.layout import ItemKind

ALL = tuple(TOY_ITEMS)
LIGHT = ("particles", "tracks", "hits")


def toy(events, shards=1, collections=LIGHT, seed=3):
    return ToyDataset("toy", seed, events, shards, tuple(collections))


def generated(dataset, shard=0):
    """Return all items of a shard as its file would hold them."""
    plan = plan_toy(dataset, shard)
    chunks = list(plan.chunks)
    arrays = {}
    for name, placement in plan.placements.items():
        arrays[name] = {}
        for item in placement.layout.items:
            if item.kind is ItemKind.SCALAR:
                values = np.asarray(plan.scalars[name][item.name])
            else:
                empty = np.empty((0, *item.shape), item.dtype)
                values = np.concatenate([empty, *(chunk[name][item.name] for chunk in chunks)])
                assert len(values) == placement.rows, f"{name}/{item.name}"
            arrays[name][item.name] = values.astype(item.dtype, casting="same_kind")
    return arrays


@settings(max_examples=25, deadline=None)
@given(
    events=st.one_of(st.integers(0, 40), st.integers(0, 2 * BLOCK_EVENTS + 100)),
    shards=st.integers(1, 5),
    seed=st.integers(0, 2**64 - 1),
)
def test_any_shards_make_the_same_events(events, shards, seed, join, assert_same):
    dataset = toy(events, shards, seed=seed)
    parts = [generated(dataset, shard) for shard in range(shards)]
    assert_same(join(dataset, parts), generated(toy(events, 1, seed=seed)))


def test_images_do_not_depend_on_shards(join, assert_same):
    dataset = toy(BLOCK_EVENTS + 3, 3, ["images"])
    parts = [generated(dataset, shard) for shard in range(3)]
    assert_same(join(dataset, parts), generated(toy(BLOCK_EVENTS + 3, 1, ["images"])))


@settings(max_examples=15, deadline=None)
@given(few=st.integers(0, 60), more=st.integers(0, BLOCK_EVENTS + 60))
def test_events_do_not_depend_on_how_many_follow(few, more):
    short, long = generated(toy(few)), generated(toy(few + more))
    for name, items in short.items():
        for item, values in items.items():
            np.testing.assert_array_equal(values, long[name][item][: len(values)] if values.ndim else values)


@pytest.mark.parametrize(
    "collections", [["particles"], ["hits", "tracks"], ["tracks"], ["images", "particles"]]
)
def test_collections_do_not_depend_on_each_other(collections):
    whole, some = generated(toy(300, collections=ALL)), generated(toy(300, collections=collections))
    assert list(some) == ["events", *collections]
    for name in collections:
        for item, values in some[name].items():
            np.testing.assert_array_equal(values, whole[name][item])
        np.testing.assert_array_equal(some["events"][f"{name}_count"], whole["events"][f"{name}_count"])


def test_seeds_give_different_events():
    first, second = (generated(toy(10, seed=seed))["particles"]["pt"] for seed in (1, 2))
    assert not np.intersect1d(first, second).size


def test_streams_of_a_block_are_not_those_of_the_next():
    pt = generated(toy(2 * BLOCK_EVENTS, collections=["tracks"]))["tracks"]["gen_pt"]
    assert len(np.unique(pt)) > 0.99 * len(pt)


@pytest.mark.parametrize("shards", [1, 3])
def test_no_events(shards):
    for shard in range(shards):
        arrays = generated(toy(0, shards, ALL), shard)
        assert arrays["hits"]["scale"] == np.float32(0.01)
        assert {len(values) for items in arrays.values() for values in items.values() if values.ndim} == {0}


def test_one_event():
    arrays = generated(toy(1, 1, ALL))
    assert arrays["events"]["number"].tolist() == [0]
    for name in ALL:
        assert arrays["events"][f"{name}_count"].tolist() == [len(arrays[name]["event"])]
        assert not arrays[name]["event"].any()


def test_counts_and_event_items_agree():
    arrays = generated(toy(500, 2, ALL), 1)
    np.testing.assert_array_equal(arrays["events"]["number"], np.arange(250, 500))
    for name in ALL:
        counts = arrays["events"][f"{name}_count"]
        np.testing.assert_array_equal(arrays[name]["event"], np.repeat(np.arange(250), counts))


@pytest.mark.parametrize(
    ("collection", "mean"),
    [("particles", MEAN_PARTICLES), ("images", MEAN_IMAGES), ("tracks", MEAN_TRACKS)],
)
def test_multiplicities_are_poisson(collection, mean):
    counts = generated(toy(2 * BLOCK_EVENTS, collections=[collection]))["events"][f"{collection}_count"]
    assert counts.mean() == pytest.approx(mean, rel=0.05)
    assert counts.var() == pytest.approx(mean, rel=0.1)
    assert (counts == 0).any() or mean >= 10


def test_hits_belong_to_tracks_of_their_event():
    arrays = generated(toy(3 * BLOCK_EVENTS // 2, 2, ["tracks", "hits"]), 1)
    tracks, hits = arrays["tracks"], arrays["hits"]
    np.testing.assert_array_equal(hits["event"], tracks["event"][hits["track"]])
    assert (np.diff(hits["track"]) >= 0).all()
    per_track = np.bincount(hits["track"], minlength=len(tracks["pt"]))
    assert per_track.max() == len(LAYER_RADII)
    assert per_track.mean() == pytest.approx(LAYER_EFFICIENCY * len(LAYER_RADII), rel=0.02)
    # The last hit of a track of high pt points back to the track's azimuth.
    azimuth = np.arctan2(hits["y"], hits["x"])
    turned = np.angle(np.exp(1j * (azimuth - tracks["phi"][hits["track"]])))
    straight = tracks["gen_pt"][hits["track"]] > 20
    assert np.abs(turned[straight]).max() < 0.05


def test_more_tracks_than_hits_can_name_are_refused(monkeypatch):
    tracks = plan_toy(toy(50, 2), 1).placements["tracks"].rows
    monkeypatch.setattr("soaflow.events.toy.MOST_ROWS_POINTED_TO", tracks)
    plan_toy(toy(50, 2), 1)
    monkeypatch.setattr("soaflow.events.toy.MOST_ROWS_POINTED_TO", tracks - 1)
    with pytest.raises(EventSourceError, match=rf"has {tracks} tracks in shard 1, .* give more shards"):
        plan_toy(toy(50, 2), 1)
    plan_toy(toy(50, 2, ["tracks", "particles"]), 1)


def test_memory_is_bounded_by_a_block():
    plan = plan_toy(toy(20 * BLOCK_EVENTS, collections=["particles"]), 0)
    rows = [len(chunk["particles"]["pt"]) for chunk in plan.chunks]
    assert len(rows) == 20
    assert max(rows) < 1.1 * MEAN_PARTICLES * BLOCK_EVENTS
