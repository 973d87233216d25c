"""Toy tracks and their hits: helices in a solenoid's field through the layers of a barrel tracker.

A particle of charge q (+1 or -1) and transverse momentum pT turns with the radius
`R = pT / (0.299792458 B)` (GeV, tesla, metres; Particle Data Group, Review of Particle Physics,
"Particle detectors at accelerators", measurement of momenta in a magnetic field). Started on the
beam line at azimuth phi, it crosses the cylinder of radius r at azimuth `phi - q asin(r / 2R)`, after
a transverse path of `2R asin(r / 2R)`, so at `z = 2R asin(r / 2R) sinh(eta)`.

The invariant: every track reaches every layer (`2R` of the lowest pt is beyond the last radius), and
each layer detects it with the same probability, so the number of hits is known without the tracks.

>>> float(np.round(2 * helix_radius(np.float32(PT_THRESHOLD))))
176.0
>>> max(LAYER_RADII)
108.0
"""

import numpy as np
import numpy.typing as npt

from soaflow.events.plan import Columns

MEAN_TRACKS = 4.0
"""Mean of the Poisson distribution of tracks in an event."""

MAGNETIC_FIELD = 3.8
"""B, tesla; that of CMS."""

LAYER_RADII = (2.9, 6.8, 10.9, 16.0, 60.8, 69.2, 78.0, 86.8, 96.5, 108.0)
"""r of the detector's layers, cm: four of pixels and six of strips."""

LAYER_EFFICIENCY = 0.95
"""Probability of a layer to detect a track."""

HIT_RESOLUTION = 0.005
"""Standard deviation of a hit along the layer's circumference, cm."""

HIT_RESOLUTION_Z = 0.05
"""Standard deviation of a hit along the beam, cm."""

HIT_SCALE = 0.01
"""Factor that brings coordinates in cm to the order of 1."""

PT_THRESHOLD = 1.0
"""Lowest true pt, GeV."""

PT_SLOPE = 8.0
"""Mean true pt above the threshold, GeV; the spectrum falls exponentially."""

ETA_MAXIMUM = 1.0
"""Acceptance of the barrel."""

SCATTERING_TERM = 0.05
"""Relative resolution of pt at low pt."""

CURVATURE_TERM = 0.01
"""Relative resolution of pt, for each GeV."""

LEAST_RESPONSE = 0.05
"""Lowest measured pt as a part of the true one."""

SQUASHING_PT = 10.0
"""pt in GeV at which `gen_pt_squashed = gen_pt / (gen_pt + SQUASHING_PT)` is one half."""

_CM_PER_GEV = 100 / (0.299792458 * MAGNETIC_FIELD)
_RADII = np.array(LAYER_RADII, dtype=np.float32)


def helix_radius(pt: npt.NDArray[np.float32] | np.float32) -> npt.NDArray[np.float32]:
    """Return R in cm of particles of unit charge with a transverse momentum in GeV."""
    return np.asarray(pt * np.float32(_CM_PER_GEV))


def make_tracks(generator: np.random.Generator, rows: int) -> Columns:
    """Generate tracks.

    Parameters
    ----------
    generator
        Source of the random numbers.
    rows
        Number of tracks, n.

    Returns
    -------
    dict
        pt, eta, phi, gen_pt, gen_pt_squashed float32 `[n]`; pt and gen_pt in GeV, phi in rad.
    """
    gen_pt = generator.standard_exponential(rows, dtype=np.float32)
    gen_pt *= np.float32(PT_SLOPE)
    gen_pt += np.float32(PT_THRESHOLD)
    response = generator.standard_normal(rows, dtype=np.float32)
    response *= np.hypot(np.float32(SCATTERING_TERM), np.float32(CURVATURE_TERM) * gen_pt)
    response += np.float32(1)
    return {
        "pt": gen_pt * np.maximum(response, np.float32(LEAST_RESPONSE)),
        "eta": np.float32(2 * ETA_MAXIMUM) * (generator.random(rows, dtype=np.float32) - np.float32(0.5)),
        "phi": np.float32(2 * np.pi) * (generator.random(rows, dtype=np.float32) - np.float32(0.5)),
        "gen_pt": gen_pt,
        "gen_pt_squashed": gen_pt / (gen_pt + np.float32(SQUASHING_PT)),
    }


def detect(generator: np.random.Generator, tracks: int) -> npt.NDArray[np.bool_]:
    """Draw which layers detect which tracks.

    Returns
    -------
    numpy.ndarray
        bool `[tracks, layers]`.
    """
    return generator.random((tracks, len(LAYER_RADII)), dtype=np.float32) < np.float32(LAYER_EFFICIENCY)


def make_hits(
    generator: np.random.Generator,
    tracks: Columns,
    detected: npt.NDArray[np.bool_],
) -> Columns:
    """Place the hits of tracks on the layers.

    Parameters
    ----------
    generator
        Source of the random numbers.
    tracks
        From `make_tracks`.
    detected
        From `detect`, for these tracks.

    Returns
    -------
    dict
        x, y, z float32 `[hits]` in cm; track int64 `[hits]`, the row in `tracks`. Hits are in the order
        of the tracks, and those of a track in the order of the layers.
    """
    gen_pt, eta, phi = (tracks[name] for name in ("gen_pt", "eta", "phi"))
    charge = generator.integers(2, size=len(gen_pt), dtype=np.int8).astype(np.float32) * 2 - 1
    track, layer = np.nonzero(detected)
    radius = _RADII[layer]
    diameter = 2 * helix_radius(gen_pt)[track]
    turned = np.arcsin(radius / diameter)
    noise = generator.standard_normal((2, len(track)), dtype=np.float32)
    azimuth = phi[track] - charge[track] * turned + np.float32(HIT_RESOLUTION) * noise[0] / radius
    return {
        "x": radius * np.cos(azimuth),
        "y": radius * np.sin(azimuth),
        "z": diameter * turned * np.sinh(eta)[track] + np.float32(HIT_RESOLUTION_Z) * noise[1],
        "track": track,
    }
