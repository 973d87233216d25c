"""Pictures with a block for each output of a model and, in it, a column of frames for each variant.

The invariant: every variant has frames of one size at whatever number of variants, because they go on in
a further line after four.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from soaflow.report.density import explain_shades
from soaflow.report.style import headline, nothing_to_show, picture

_ABREAST = 4

Frames = tuple[Axes, ...]


@contextmanager
def variant_panels(
    plot: Path | str,
    model: str,
    outputs: Sequence[str],
    variants: Sequence[str],
    *,
    heights: Sequence[float],
    lines: Sequence[Artist] = (),
) -> Iterator[dict[tuple[str, str], Frames]]:
    """Give the frames of each output and variant; write the picture when the block succeeds.

    Parameters
    ----------
    plot
        The picture to write.
    model, outputs, variants
        Names, in the order in which they are drawn; without an output or variant the picture says so.
    heights
        Of the frames of one variant, from top to bottom, in inches.
    lines
        To be explained below the frames, beside the shades.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    abreast = min(_ABREAST, max(2, len(variants)))
    stacked = max(1, math.ceil(len(variants) / abreast))
    height = 0.5 + stacked * (sum(heights) + 0.6 * len(heights))
    with picture(plot, 0.8 + 3.4 * abreast, 1.0 + max(1, len(outputs)) * height) as figure:
        if not outputs or not variants:
            axes = figure.subplots()
            headline(axes, model)
            nothing_to_show(axes, "no predictions")
            yield {}
            return
        found: dict[tuple[str, str], Frames] = {}
        blocks = figure.subfigures(len(outputs), 1, squeeze=False)[:, 0]
        for output, block in zip(outputs, blocks, strict=True):
            block.suptitle(f"{model}: {output}", x=0.01, ha="left", weight="bold", size="large")
            for variant, frames in zip(variants, _columns(block, stacked, abreast, heights), strict=False):
                headline(frames[0], variant)
                found[output, variant] = frames
        for block in blocks:
            for axes in block.axes:
                axes.set_visible(any(axes in frames for frames in found.values()))
        yield found
        explain_shades(figure, lines)


def _columns(block: SubFigure, lines: int, abreast: int, heights: Sequence[float]) -> Iterator[Frames]:
    frames = block.subplots(
        lines * len(heights), abreast, squeeze=False, height_ratios=tuple(heights) * lines
    )
    for line in range(lines):
        for place in range(abreast):
            yield tuple(frames[line * len(heights) : (line + 1) * len(heights), place])
