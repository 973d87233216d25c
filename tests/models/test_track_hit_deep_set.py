"""The deep set against a slow loop over tracks and hits."""

import pytest
import torch

from soaflow.models.track_hit_deep_set import TrackHitDeepSet


def slow(model, tracks, hits, hit_scale, hit_to_track, begin):
    rows = []
    for index, track in enumerate(tracks):
        total = torch.zeros(16)
        for hit, scale, owner in zip(hits, hit_scale, hit_to_track, strict=True):
            if owner.item() == begin + index:
                total = total + model.hit_encoder(hit * scale)
        rows.append(torch.sigmoid(model.head(torch.cat((model.track_encoder(track), total)))))
    return torch.stack(rows)


@pytest.mark.parametrize(("begin", "batch"), [(0, 12), (0, 1), (5, 4), (11, 1), (0, 3), (3, 9)])
@pytest.mark.parametrize("hits", [0, 1, 60])
def test_equals_a_loop_for_any_slice(deep_set_case, assert_same, begin, batch, hits) -> None:
    model = deep_set_case.model()
    inputs = deep_set_case.inputs(batch, begin=begin, spare=12 - begin - batch, hits=hits)
    with torch.no_grad():
        assert_same(model(*inputs), slow(model, *inputs[:4], begin))


def test_hits_of_other_tracks_change_nothing(deep_set_case) -> None:
    model = deep_set_case.model()
    tracks, hits, scale, owner, begin = deep_set_case.inputs(4, begin=5, spare=20)
    outside = (owner[:, 0] < 5) | (owner[:, 0] >= 9)
    assert outside.any()
    assert not outside.all()
    expected = model(tracks, hits, scale, owner, begin)
    hits = hits.clone()
    hits[outside] = 1e30
    assert torch.equal(model(tracks, hits, scale, owner, begin), expected)
    hits[~outside] += 1
    assert not torch.equal(model(tracks, hits, scale, owner, begin), expected)


def test_order_of_hits_does_not_matter(deep_set_case, assert_same) -> None:
    model = deep_set_case.model()
    tracks, hits, scale, owner, begin = deep_set_case.inputs(12)
    order = torch.randperm(len(hits))
    assert_same(
        model(tracks, hits[order], scale, owner[order], begin), model(tracks, hits, scale, owner, begin)
    )


def test_width_is_an_argument() -> None:
    model = TrackHitDeepSet(width=4)
    assert model.head[0].in_features == 8
