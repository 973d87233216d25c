"""Toy particles: three classes with falling spectra, measured by a calorimeter.

Each class has a threshold, a power-law spectrum `dN/dpT ~ pT**-n` above it and a distribution in
eta (flat, central or forward), so pt and eta tell the classes apart in part, as in nature. The
measured pt is the true one smeared with the resolution of a calorimeter,
`sigma / pT = sqrt(a**2 / pT + c**2)` with a stochastic term a and a constant term c (Particle Data
Group, Review of Particle Physics, "Particle detectors at accelerators", calorimeters).

>>> columns = make_particles(np.random.default_rng(1), 1000)
>>> columns["mask"].shape, columns["mask"].dtype
((1000, 3), dtype('uint8'))
>>> bool((columns["gen_pt"] >= 5).all())
True
"""

import numpy as np
import numpy.typing as npt

from soaflow.events.plan import Columns

MEAN_PARTICLES = 10.0
"""Mean of the Poisson distribution of particles in an event."""

CLASS_SHARES = (0.6, 0.25, 0.15)
"""Share of each particle class; resolved to 1/256."""

THRESHOLDS = (5.0, 10.0, 15.0)
"""Lowest true pt of each class, GeV."""

SPECTRUM_POWERS = (6.0, 5.5, 5.0)
"""n of each class's spectrum."""

ETA_POWERS = (1.0, 2.0, 0.5)
"""Exponent k of |eta| = ETA_MAXIMUM * u**k for uniform u: flat, central, forward."""

ETA_MAXIMUM = 2.5
"""Acceptance of the detector."""

STOCHASTIC_TERM = 0.5
"""a of the resolution, sqrt(GeV)."""

CONSTANT_TERM = 0.03
"""c of the resolution."""

LEAST_RESPONSE = 0.05
"""Lowest measured pt as a part of the true one; cuts the Gaussian's far tail off above 0."""

MASKED_SHARE = 0.1
"""Probability of each mask entry to be 1; resolved to 1/256."""

_CLASS_OF_BYTE = np.searchsorted(np.cumsum(CLASS_SHARES), (np.arange(256) + 0.5) / 256).astype(np.int32)
_THRESHOLDS = np.array(THRESHOLDS, dtype=np.float32)
_SPECTRUM_EXPONENTS = np.array([1 / (power - 1) for power in SPECTRUM_POWERS], dtype=np.float32)
_ETA_POWERS = np.array(ETA_POWERS, dtype=np.float32)


def make_particles(generator: np.random.Generator, rows: int) -> Columns:
    """Generate particles.

    Parameters
    ----------
    generator
        Source of the random numbers.
    rows
        Number of particles, n.

    Returns
    -------
    dict
        pt, eta, phi, gen_pt float32 `[n]`; particle_class int32 `[n]`, 0 to 2; mask uint8 `[n, 3]`
        of 0 and 1. pt and gen_pt are in GeV, phi in rad.
    """
    particle_class = _CLASS_OF_BYTE[generator.integers(256, size=rows, dtype=np.uint8)]
    gen_pt = generator.standard_exponential(rows, dtype=np.float32)
    gen_pt *= _SPECTRUM_EXPONENTS[particle_class]
    np.exp(gen_pt, out=gen_pt)
    gen_pt *= _THRESHOLDS[particle_class]
    return {
        "pt": _measure(generator, gen_pt),
        "eta": _make_eta(generator, particle_class),
        "phi": make_phi(generator, rows),
        "gen_pt": gen_pt,
        "particle_class": particle_class,
        # Plane after plane, as the blob has it, so that writing it needs no transposition.
        "mask": (generator.integers(256, size=(3, rows), dtype=np.uint8) < round(256 * MASKED_SHARE))
        .view(np.uint8)
        .T,
    }


def make_phi(generator: np.random.Generator, rows: int) -> npt.NDArray[np.float32]:
    """Generate uniform azimuths from -pi to pi, float32 `[n]`."""
    phi = generator.random(rows, dtype=np.float32)
    phi -= np.float32(0.5)
    phi *= np.float32(2 * np.pi)
    return phi


def calorimeter_resolution(pt: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the relative resolution at a true pt in GeV."""
    relative = np.float32(STOCHASTIC_TERM**2) / pt
    relative += np.float32(CONSTANT_TERM**2)
    np.sqrt(relative, out=relative)
    return relative


def _measure(generator: np.random.Generator, gen_pt: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    response = generator.standard_normal(len(gen_pt), dtype=np.float32)
    response *= calorimeter_resolution(gen_pt)
    response += np.float32(1)
    np.maximum(response, np.float32(LEAST_RESPONSE), out=response)
    response *= gen_pt
    return response


def _make_eta(
    generator: np.random.Generator, particle_class: npt.NDArray[np.int32]
) -> npt.NDArray[np.float32]:
    uniform = generator.random(len(particle_class), dtype=np.float32)
    uniform -= np.float32(0.5)
    uniform *= np.float32(2)
    size = np.power(np.abs(uniform), _ETA_POWERS[particle_class])
    size *= np.float32(ETA_MAXIMUM)
    return np.copysign(size, uniform, out=size)
