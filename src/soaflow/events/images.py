"""Toy calorimeter images: 9 x 9 cells in three layers of depth, in ten classes of shower shape.

A shower is one or more cores, each a Gaussian in both directions; its energy is shared between the
layers r (front), g and b (back) by the depth profile of its class. The energy spectrum falls
exponentially. Each cell has sampling fluctuations, which grow as the root of its energy, and
electronic noise; cells are pedestal-subtracted, so an empty one can be slightly below 0.

>>> columns = make_images(np.random.default_rng(1), 20)
>>> columns["r"].shape, sorted(set(columns["image_class"].tolist()) - set(range(10)))
((20, 9, 9), [])
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from soaflow.events.plan import Columns

CELLS = 9
"""Cells along each side of an image."""

MEAN_IMAGES = 2.0
"""Mean of the Poisson distribution of images in an event."""

ENERGY_THRESHOLD = 5.0
"""Lowest energy of a shower, GeV."""

ENERGY_SLOPE = 10.0
"""Mean energy above the threshold, GeV."""

POSITION_SPREAD = 0.6
"""Standard deviation of a shower's centre from the middle of the image, cells."""

SAMPLING_TERM = 0.1
"""Fluctuation of a cell with 1 GeV, GeV."""

NOISE = 0.03
"""Electronic noise of each cell, GeV."""


@dataclass(frozen=True, slots=True)
class ShowerShape:
    """One class of images.

    Parameters
    ----------
    name
        What it is like.
    cores
        Number of cores, evenly on a circle around the shower's centre.
    distance
        Radius of that circle, cells.
    width
        Standard deviation of each core along rows and along columns, cells.
    depth
        Share of the energy in the layers r, g, b.
    """

    name: str
    cores: int
    distance: float
    width: tuple[float, float]
    depth: tuple[float, float, float]


SHOWER_SHAPES = (
    ShowerShape("photon: narrow, early", 1, 0.0, (0.7, 0.7), (0.7, 0.25, 0.05)),
    ShowerShape("neutral hadron: narrow, late", 1, 0.0, (0.9, 0.9), (0.05, 0.25, 0.7)),
    ShowerShape("converted photon: wide, early", 1, 0.0, (1.9, 1.9), (0.7, 0.25, 0.05)),
    ShowerShape("hadron: wide, late", 1, 0.0, (1.9, 1.9), (0.05, 0.25, 0.7)),
    ShowerShape("pair of photons: two cores, early", 2, 2.2, (0.7, 0.7), (0.7, 0.25, 0.05)),
    ShowerShape("pair of hadrons: two cores, late", 2, 2.2, (0.9, 0.9), (0.05, 0.25, 0.7)),
    ShowerShape("jet core: three cores, middle", 3, 2.6, (0.8, 0.8), (0.2, 0.6, 0.2)),
    ShowerShape("muon: one cell, even in depth", 1, 0.0, (0.35, 0.35), (0.34, 0.33, 0.33)),
    ShowerShape("radiating electron: streak along a row", 1, 0.0, (0.6, 2.8), (0.6, 0.3, 0.1)),
    ShowerShape("pile-up: flat, even in depth", 1, 0.0, (5.0, 5.0), (0.34, 0.33, 0.33)),
)
"""The classes, by their number in `image_class`."""

_CORES = max(shape.cores for shape in SHOWER_SHAPES)
_CORE_SHARES = np.array(
    [[1 / shape.cores if core < shape.cores else 0 for core in range(_CORES)] for shape in SHOWER_SHAPES],
    dtype=np.float32,
)
_CORE_ANGLES = np.array(
    [[2 * np.pi * core / shape.cores for core in range(_CORES)] for shape in SHOWER_SHAPES],
    dtype=np.float32,
)
_DISTANCES = np.array([shape.distance for shape in SHOWER_SHAPES], dtype=np.float32)
_WIDTHS = np.array([shape.width for shape in SHOWER_SHAPES], dtype=np.float32)
_DEPTHS = np.array([shape.depth for shape in SHOWER_SHAPES], dtype=np.float32)
_CELL_CENTRES = np.arange(CELLS, dtype=np.float32) - np.float32((CELLS - 1) / 2)


def make_images(generator: np.random.Generator, rows: int) -> Columns:
    """Generate images.

    Parameters
    ----------
    generator
        Source of the random numbers.
    rows
        Number of images, n.

    Returns
    -------
    dict
        r, g, b float32 `[n, 9, 9]` in GeV; image_class int32 `[n]`, 0 to 9.
    """
    image_class = generator.integers(len(SHOWER_SHAPES), size=rows, dtype=np.int32)
    energy = ENERGY_THRESHOLD + np.float32(ENERGY_SLOPE) * generator.standard_exponential(
        rows, dtype=np.float32
    )
    profile = _transverse_profile(generator, image_class)
    profile *= energy[:, None, None]
    return {
        layer: _measure(generator, profile * _DEPTHS[image_class, depth, None, None])
        for depth, layer in enumerate("rgb")
    } | {"image_class": image_class}


def _transverse_profile(
    generator: np.random.Generator, image_class: npt.NDArray[np.int32]
) -> npt.NDArray[np.float32]:
    """Return each image's share of energy by cell, float32 `[n, 9, 9]`, of sum 1."""
    centre = np.float32(POSITION_SPREAD) * generator.standard_normal((2, len(image_class)), dtype=np.float32)
    turn = np.float32(2 * np.pi) * generator.random(len(image_class), dtype=np.float32)
    angle = _CORE_ANGLES[image_class] + turn[:, None]
    distance = _DISTANCES[image_class][:, None]
    along_rows = _core_profile(centre[0][:, None] + distance * np.sin(angle), _WIDTHS[image_class, 0])
    along_columns = _core_profile(centre[1][:, None] + distance * np.cos(angle), _WIDTHS[image_class, 1])
    along_rows *= _CORE_SHARES[image_class][:, :, None]
    shares: npt.NDArray[np.float32] = np.matmul(along_rows.transpose(0, 2, 1), along_columns)
    return shares


def _core_profile(
    position: npt.NDArray[np.float32], width: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return normalised Gaussians of positions `[n, cores]` over the cells, float32 `[n, cores, 9]`."""
    distance = (_CELL_CENTRES - position[:, :, None]) / width[:, None, None]
    profile: npt.NDArray[np.float32] = np.exp(np.float32(-0.5) * distance**2)
    profile /= profile.sum(axis=2, keepdims=True)
    return profile


def _measure(generator: np.random.Generator, energy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    sigma: npt.NDArray[np.float32] = np.sqrt(np.float32(SAMPLING_TERM**2) * energy + np.float32(NOISE**2))
    sigma *= generator.standard_normal(energy.shape, dtype=np.float32)
    sigma += energy
    return sigma
