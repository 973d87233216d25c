"""Cells of a plane: shades, merged shapes, and bytes."""

import itertools
import re
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb

from soaflow.report.density import draw_density, shade_of
from soaflow.report.style import SHADES, picture


def drawn(counts: np.ndarray[tuple[int, int], np.dtype[np.int64]], path: Path) -> str:
    rows, columns = counts.shape
    with picture(path, 4, 4) as figure:
        axes = figure.subplots()
        draw_density(axes, counts, np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    return path.read_text()


def test_shades_go_with_the_share() -> None:
    shares = np.array([0.0, 1e-9, 1e-4, 9.9e-4, 1e-3, 0.02, 0.0999, 0.1, 1.0])
    assert shade_of(shares).tolist() == [-1, 0, 1, 1, 2, 3, 3, 4, 4]


def test_shades_keep_their_order_in_grey_print() -> None:
    grey = [float(np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722))) for colour in SHADES]
    assert all(lighter - darker > 0.08 for lighter, darker in itertools.pairwise(grey))


def test_each_filled_cell_is_covered_once(tmp_path: Path) -> None:
    counts = np.random.default_rng(1).integers(0, 4, (7, 9)) ** 6
    picture_text = drawn(counts, tmp_path / "one.svg")
    area = 0.0
    for style, data in re.findall(r'<path d="([^"]*)"[^>]*style="fill: (#[0-9a-f]{6})', picture_text):
        if data not in SHADES:
            continue
        for corners in style.split("z"):
            points = np.array(re.findall(r"[ML] (\S+) (\S+)", corners), float)
            if len(points):
                area += float(np.prod(np.ptp(points, axis=0)))
    full = drawn(np.ones((1, 1), np.int64), tmp_path / "full.svg")
    (whole,) = re.findall(rf'<path d="([^"]*)"[^>]*style="fill: {SHADES[-1]}', full)
    frame = float(np.prod(np.ptp(np.array(re.findall(r"[ML] (\S+) (\S+)", whole), float), axis=0)))
    assert abs(area / frame - np.count_nonzero(counts) / counts.size) < 1e-3


def test_neighbours_of_one_shade_are_one_shape_and_bytes_repeat(tmp_path: Path) -> None:
    counts = np.ones((40, 50), np.int64)
    text = drawn(counts, tmp_path / "one.svg")
    assert text == drawn(counts, tmp_path / "two.svg")
    assert len(text) < len(drawn(np.eye(40, 50, dtype=np.int64), tmp_path / "eye.svg")) + 100
    assert "<image" not in text
    drawn(np.zeros((3, 3), np.int64), tmp_path / "none.svg")
