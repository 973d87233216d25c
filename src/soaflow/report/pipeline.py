"""A picture of the stages and of the files that go from one to the next.

The invariant: places follow from the steps alone. A step stands one column to the right of the last
step it needs, so arrows point to the right, and the picture stays right when steps are added.

>>> {step.name: column for step, column in columns_of(STEPS).items()}["compare"]
5
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as MplPath

from soaflow.report.style import FAINT, INK, PALETTE, picture

_BOX_WIDTH, _BOX_HEIGHT, _COLUMN, _LANE, _MARGIN = 1.55, 0.96, 2.03, 1.32, 0.15


@dataclass(frozen=True, slots=True)
class Step:
    """One box of the picture.

    Parameters
    ----------
    name
        Written in bold, and how other steps name it.
    makes
        What comes out, in one or two short lines.
    lane
        Height: 0 in the middle, negative above, positive below.
    stage
        Steps of a stage share a colour.
    needs
        Names of the steps whose output it reads.
    detours
        Of arrows that would cross a box on the way: from which step, and at which height instead.
    """

    name: str
    makes: str
    lane: float
    stage: str
    needs: tuple[str, ...] = ()
    detours: tuple[tuple[str, float], ...] = ()


STEPS = (
    Step("events", "HDF5 shards, SoA\nNanoAOD or toy", 0.0, "events"),
    Step("train", "weights,\nlearning curve", -1.0, "train", ("events",)),
    Step("ONNX", "graph .onnx\nand passport", -3.0, "export", ("train",)),
    Step("JIT", "TorchScript .pt\nand passport", -2.0, "export", ("train",)),
    Step("program", "torch.export .pt2\nand passport", -1.0, "export", ("train",)),
    Step("AOT", "AOTInductor .pt2\nper target", -1.0, "export", ("program",)),
    Step("reference", "eager, float64\npredictions", 1.0, "infer", ("events", "train")),
    Step(
        *("infer", "predictions\nand proof", 0.0, "infer"),
        needs=("events", "ONNX", "JIT", "AOT", "train"),
        detours=(("train", -0.5),),
    ),
    Step("compare", "differences,\nverdict per output", 0.0, "compare", ("infer", "reference")),
    Step(
        *("report", "plots, tables,\none HTML page", 0.0, "report"),
        needs=("train", "infer", "reference", "compare"),
        detours=(("train", -3.6), ("infer", -0.6)),
    ),
)
"""The steps of the workflow."""


def columns_of(steps: Sequence[Step]) -> dict[Step, int]:
    """Return the column of each step: one more than the last of those it needs.

    Raises
    ------
    ValueError
        If a step needs one that does not stand before it.
    """
    columns: dict[str, int] = {}
    for step in steps:
        if missing := [name for name in step.needs if name not in columns]:
            raise ValueError(f"step '{step.name}' needs '{missing[0]}', which does not stand before it")
        columns[step.name] = max((columns[name] + 1 for name in step.needs), default=0)
    return {step: columns[step.name] for step in steps}


def plot_pipeline(
    plot: Path | str, steps: Sequence[Step] = STEPS, jobs: Mapping[str, int] | None = None
) -> None:
    """Draw the steps.

    Parameters
    ----------
    plot
        The picture to write.
    steps
        Each after those it needs.
    jobs
        Number of jobs of each step, by name, to write into its box.

    Raises
    ------
    ValueError
        If a step needs one that does not stand before it.
    OutputError
        If the picture cannot be written.
    """
    columns = columns_of(steps)
    places = {step.name: (column * _COLUMN, step.lane * _LANE) for step, column in columns.items()}
    known = {step.name: step for step in steps}
    stages = list(dict.fromkeys(step.stage for step in steps))
    width = max(x for x, _ in places.values()) + _BOX_WIDTH + 2 * _MARGIN
    passed = [lane * _LANE for step in steps for _, lane in step.detours]
    lowest = min([*(y - _BOX_HEIGHT / 2 for _, y in places.values()), *passed]) - _MARGIN
    highest = max([*(y + _BOX_HEIGHT / 2 for _, y in places.values()), *passed]) + _MARGIN
    with picture(plot, width, highest - lowest) as figure:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(-_BOX_WIDTH / 2 - _MARGIN, width - _BOX_WIDTH / 2 - _MARGIN)
        axes.set_ylim(highest, lowest)
        for step in steps:
            for name in step.needs:
                near = columns[step] == columns[known[name]] + 1
                own = step.lane if near else known[name].lane
                along = dict(step.detours).get(name, own) * _LANE
                _arrow(axes, places[name], places[step.name], along)
        for step in steps:
            colour = PALETTE[stages.index(step.stage) % len(PALETTE)]
            _box(axes, places[step.name], step, colour, (jobs or {}).get(step.name))


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], along: float) -> None:
    """Draw an arrow that leaves its height in the gap behind the start and finds its end's before the end."""
    (x0, y0), (x1, y1) = start, end
    first, last, gap = x0 + _BOX_WIDTH / 2, x1 - _BOX_WIDTH / 2 - 0.03, _COLUMN - _BOX_WIDTH
    path = [(first, y0), *_bend(first, y0, first + gap, along)]
    if last - first > gap:
        path += [(last - gap, along)] * 3
        path += _bend(last - gap, along, last, y1)
    codes = [MplPath.MOVETO] + [MplPath.CURVE4] * (len(path) - 1)
    axes.add_patch(
        FancyArrowPatch(
            path=MplPath(path, codes),
            arrowstyle="-|>",
            mutation_scale=13,
            color=FAINT,
            linewidth=1.5,
            zorder=1,
        )
    )


def _bend(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float]]:
    middle = (x0 + x1) / 2
    return [(middle, y0), (middle, y1), (x1, y1)]


def _box(axes: Axes, centre: tuple[float, float], step: Step, colour: str, jobs: int | None) -> None:
    x, y = centre
    axes.add_patch(
        FancyBboxPatch(
            (x - _BOX_WIDTH / 2, y - _BOX_HEIGHT / 2),
            *(_BOX_WIDTH, _BOX_HEIGHT),
            boxstyle="round,pad=0,rounding_size=0.09",
            facecolor="white",
            edgecolor=colour,
            linewidth=2.2,
            zorder=2,
        )
    )
    name = step.name if jobs is None else f"{step.name} × {jobs}"
    axes.text(x, y - 0.24, name, ha="center", va="center", weight="bold", color=INK, size=15.5, zorder=3)
    axes.text(
        *(x, y + 0.16, step.makes),
        ha="center",
        va="center",
        color=FAINT,
        size=12,
        linespacing=1.2,
        zorder=3,
    )
