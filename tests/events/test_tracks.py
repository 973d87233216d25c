import numpy as np
import pytest

from soaflow.events.tracks import (
    CURVATURE_TERM,
    ETA_MAXIMUM,
    HIT_RESOLUTION,
    HIT_RESOLUTION_Z,
    LAYER_EFFICIENCY,
    LAYER_RADII,
    MAGNETIC_FIELD,
    PT_SLOPE,
    PT_THRESHOLD,
    SCATTERING_TERM,
    SQUASHING_PT,
    detect,
    helix_radius,
    make_hits,
    make_tracks,
)

ROWS = 50_000


@pytest.fixture(scope="module")
def tracks():
    return make_tracks(np.random.default_rng(7), ROWS)


@pytest.fixture(scope="module")
def detected():
    return detect(np.random.default_rng(8), ROWS)


@pytest.fixture(scope="module")
def hits(tracks, detected):
    return make_hits(np.random.default_rng(9), tracks, detected)


def test_tracks_have_the_spectrum_and_acceptance_of_the_barrel(tracks):
    assert {values.dtype.name for values in tracks.values()} == {"float32"}
    assert tracks["gen_pt"].min() >= PT_THRESHOLD
    assert tracks["gen_pt"].mean() == pytest.approx(PT_THRESHOLD + PT_SLOPE, rel=0.02)
    assert np.abs(tracks["eta"]).max() <= ETA_MAXIMUM
    assert np.abs(tracks["phi"]).max() <= np.float32(np.pi)
    np.testing.assert_allclose(
        tracks["gen_pt_squashed"], tracks["gen_pt"] / (tracks["gen_pt"] + SQUASHING_PT), rtol=1e-6
    )


def test_track_resolution_grows_with_pt(tracks):
    response = tracks["pt"] / tracks["gen_pt"]
    for low, high in ((1, 2), (10, 11), (20, 22)):
        chosen = response[(tracks["gen_pt"] >= low) & (tracks["gen_pt"] < high)]
        expected = np.hypot(SCATTERING_TERM, CURVATURE_TERM * (low + high) / 2)
        assert chosen.std() == pytest.approx(expected, rel=0.1)


def test_layers_detect_with_their_efficiency(detected):
    assert detected.shape == (ROWS, len(LAYER_RADII))
    np.testing.assert_allclose(detected.mean(axis=0), LAYER_EFFICIENCY, atol=0.005)


def test_the_lowest_pt_reaches_the_last_layer():
    assert 2 * float(helix_radius(np.float32(PT_THRESHOLD))) > max(LAYER_RADII)
    # A 1 GeV particle in 3.8 T turns with 0.88 m.
    assert float(helix_radius(np.float32(1))) == pytest.approx(100 / (0.299792458 * MAGNETIC_FIELD), rel=1e-6)


def test_hits_lie_on_the_layers_of_their_tracks(hits, detected):
    track, layer = np.nonzero(detected)
    np.testing.assert_array_equal(hits["track"], track)
    np.testing.assert_allclose(np.hypot(hits["x"], hits["y"]), np.array(LAYER_RADII)[layer], rtol=1e-5)


def test_hits_lie_on_the_helix_of_their_track(tracks, hits):
    """Check against a helix stepped through in small arcs from the beam line, for either charge."""
    chosen = np.flatnonzero(tracks["gen_pt"][hits["track"]] < 3)[:300]
    for hit in chosen:
        row = hits["track"][hit]
        gen_pt, eta, phi = (float(tracks[name][row]) for name in ("gen_pt", "eta", "phi"))
        radius = 100 * gen_pt / (0.299792458 * MAGNETIC_FIELD)
        arc = np.linspace(0, np.pi * radius, 20_000)
        distances = []
        for charge in (1, -1):
            direction = phi - charge * arc / radius
            step = arc[1]
            x = np.concatenate([[0], np.cumsum(np.cos(direction[:-1] - charge * step / radius / 2) * step)])
            y = np.concatenate([[0], np.cumsum(np.sin(direction[:-1] - charge * step / radius / 2) * step)])
            z = arc * np.sinh(eta)
            nearest = np.argmin(np.hypot(x - hits["x"][hit], y - hits["y"][hit]))
            transverse = np.hypot(x[nearest] - hits["x"][hit], y[nearest] - hits["y"][hit])
            distances.append((transverse, abs(z[nearest] - hits["z"][hit])))
        transverse, along = min(distances)
        assert transverse < 6 * HIT_RESOLUTION + step
        assert along < 6 * HIT_RESOLUTION_Z + step


def test_both_charges_are_as_frequent(tracks, hits):
    last = np.flatnonzero(np.hypot(hits["x"], hits["y"]) > 100)
    azimuth = np.arctan2(hits["y"][last], hits["x"][last])
    bend = np.angle(np.exp(1j * (azimuth - tracks["phi"][hits["track"][last]])))
    assert (bend > 0).mean() == pytest.approx(0.5, abs=0.01)


def test_no_tracks():
    tracks = make_tracks(np.random.default_rng(7), 0)
    hits = make_hits(np.random.default_rng(7), tracks, detect(np.random.default_rng(7), 0))
    assert {len(values) for values in (*tracks.values(), *hits.values())} == {0}
