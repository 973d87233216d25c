import numpy as np
import pytest

from soaflow.events.images import (
    CELLS,
    ENERGY_SLOPE,
    ENERGY_THRESHOLD,
    NOISE,
    SHOWER_SHAPES,
    make_images,
)

ROWS = 20_000


@pytest.fixture(scope="module")
def columns():
    return make_images(np.random.default_rng(7), ROWS)


@pytest.fixture(scope="module")
def pixels(columns):
    return np.stack([columns[layer] for layer in "rgb"], axis=1).astype(np.float64)


def test_dtypes_and_shapes(columns):
    assert list(columns) == ["r", "g", "b", "image_class"]
    for layer in "rgb":
        assert (columns[layer].dtype, columns[layer].shape) == (np.float32, (ROWS, CELLS, CELLS))
        assert columns[layer].dtype == np.float32
    assert columns["image_class"].dtype == np.int32
    assert {len(values) for values in make_images(np.random.default_rng(7), 0).values()} == {0}


def test_all_classes_are_as_frequent(columns):
    counts = np.bincount(columns["image_class"])
    assert len(counts) == len(SHOWER_SHAPES) == 10
    np.testing.assert_allclose(counts, ROWS / 10, rtol=0.1)


def test_energy_falls_from_its_threshold(pixels):
    energy = pixels.sum(axis=(1, 2, 3))
    assert energy.mean() == pytest.approx(ENERGY_THRESHOLD + ENERGY_SLOPE, rel=0.03)
    histogram, _ = np.histogram(energy, bins=[5, 15, 25, 35, 45])
    assert (np.diff(histogram) < 0).all()


def test_depth_profile_of_each_class(columns, pixels):
    for kind, shape in enumerate(SHOWER_SHAPES):
        energy = pixels[columns["image_class"] == kind].sum(axis=(0, 2, 3))
        np.testing.assert_allclose(energy / energy.sum(), shape.depth, atol=0.01)


def test_widths_of_single_cores(columns, pixels):
    # A photon lights one narrow spot, its converted partner a wide one; a streak is wide in columns only.
    flat = pixels.sum(axis=1)
    cells = np.arange(CELLS)

    def spread(kind, axis):
        profile = flat[columns["image_class"] == kind].sum(axis=2 if axis == 1 else 1)
        profile = profile / profile.sum(axis=1, keepdims=True)
        mean = profile @ cells
        return np.median(profile @ cells**2 - mean**2)

    assert spread(0, 1) < 1
    assert spread(2, 1) > 2
    assert spread(8, 1) < 1
    assert spread(8, 2) > 3
    assert spread(7, 1) < 0.5


def test_noise_in_empty_cells(columns, pixels):
    muons = pixels[columns["image_class"] == 7]
    corner = muons[:, :, 0, 0]
    assert corner.std() == pytest.approx(NOISE, rel=0.05)
    assert corner.mean() == pytest.approx(0, abs=0.003)


def test_classes_are_distinguishable_without_training_a_network(columns, pixels):
    from sklearn.neighbors import KNeighborsClassifier  # noqa: PLC0415

    pooled = pixels / pixels.sum(axis=(1, 2, 3), keepdims=True)
    # Rotations and shifts drop out of the radial moments and of the depth profile.
    centred = np.sort(pooled.sum(axis=1).reshape(ROWS, -1), axis=1)[:, -12:]
    rows = pooled.sum(axis=(1, 3)).max(axis=1, keepdims=True)
    features = np.hstack([centred, pooled.sum(axis=(2, 3)), rows])
    model = KNeighborsClassifier(15).fit(features[:10_000], columns["image_class"][:10_000])
    assert model.score(features[10_000:], columns["image_class"][10_000:]) > 0.7
