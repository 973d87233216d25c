import numpy as np
import pytest

from soaflow.events.particles import (
    CLASS_SHARES,
    ETA_MAXIMUM,
    LEAST_RESPONSE,
    MASKED_SHARE,
    SPECTRUM_POWERS,
    THRESHOLDS,
    calorimeter_resolution,
    make_particles,
)

ROWS = 400_000


@pytest.fixture(scope="module")
def columns():
    return make_particles(np.random.default_rng(7), ROWS)


def test_dtypes_and_shapes(columns):
    described = {name: (values.dtype.name, values.shape) for name, values in columns.items()}
    assert described == {
        "pt": ("float32", (ROWS,)),
        "eta": ("float32", (ROWS,)),
        "phi": ("float32", (ROWS,)),
        "gen_pt": ("float32", (ROWS,)),
        "particle_class": ("int32", (ROWS,)),
        "mask": ("uint8", (ROWS, 3)),
    }
    assert {len(values) for values in make_particles(np.random.default_rng(7), 0).values()} == {0}


def test_class_shares(columns):
    shares = np.bincount(columns["particle_class"]) / ROWS
    np.testing.assert_allclose(shares, CLASS_SHARES, atol=0.005)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_spectrum_is_the_power_law_of_its_class(columns, kind):
    gen_pt = columns["gen_pt"][columns["particle_class"] == kind].astype(np.float64)
    assert gen_pt.min() >= THRESHOLDS[kind]
    # The Hill estimator: the mean of log(pt / threshold) is 1 / (n - 1).
    assert np.log(gen_pt / THRESHOLDS[kind]).mean() == pytest.approx(
        1 / (SPECTRUM_POWERS[kind] - 1), rel=0.02
    )
    histogram, _ = np.histogram(gen_pt, bins=THRESHOLDS[kind] * np.array([1, 1.5, 2, 3, 5]))
    assert (np.diff(histogram) < 0).all()


def test_eta_and_phi(columns):
    assert np.abs(columns["eta"]).max() <= ETA_MAXIMUM
    assert np.abs(columns["phi"]).max() <= np.float32(np.pi)
    histogram, _ = np.histogram(columns["phi"], bins=10, range=(-np.pi, np.pi))
    np.testing.assert_allclose(histogram, ROWS / 10, rtol=0.03)
    # Mean of |eta| / ETA_MAXIMUM = u**k is 1 / (k + 1): flat, central and forward.
    for kind, mean in enumerate((1 / 2, 1 / 3, 2 / 3)):
        eta = columns["eta"][columns["particle_class"] == kind]
        assert np.abs(eta).mean() / ETA_MAXIMUM == pytest.approx(mean, rel=0.02)
        assert (eta > 0).mean() == pytest.approx(0.5, abs=0.01)


def test_smearing_has_the_calorimeter_s_resolution(columns):
    gen_pt, response = columns["gen_pt"], columns["pt"] / columns["gen_pt"]
    assert response.min() >= LEAST_RESPONSE
    for low, high in ((5, 5.5), (10, 11), (20, 22), (40, 45)):
        chosen = response[(gen_pt >= low) & (gen_pt < high)]
        centre = np.sqrt(np.float32(low * high))
        assert chosen.mean() == pytest.approx(1, abs=0.01)
        assert chosen.std() == pytest.approx(float(calorimeter_resolution(np.array([centre]))[0]), rel=0.06)


def test_mask_is_of_zeros_and_ones(columns):
    assert np.unique(columns["mask"]).tolist() == [0, 1]
    np.testing.assert_allclose(columns["mask"].mean(axis=0), MASKED_SHARE, atol=0.005)
    assert np.abs(np.corrcoef(columns["mask"].T) - np.eye(3)).max() < 0.01


def test_classes_can_be_told_apart(columns):
    # Below the second threshold a true pt can only be of class 0.
    assert (columns["particle_class"][columns["gen_pt"] < THRESHOLDS[1]] == 0).all()
    heavy = columns["particle_class"][columns["pt"] > 25]
    assert (heavy == 2).mean() > 3 * CLASS_SHARES[2]
