"""How far each variant's decisions are from the reference's: a line for each variant, a frame for each shift.

A frame is a forest plot: what was found with its error bar, and the numbers beside it. Efficiencies have
frames of their own at each working point, beside those of areas, resolutions and biases.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from soaflow.report.documents import described_by, read_documents
from soaflow.report.style import FAINT, INK, PALETTE, counted, headline, nothing_to_show, picture

Document = Mapping[str, Any]
_ACROSS = 2
_SMALLEST = 1e-9
"""Reach of a frame in which nothing shifts, for figures that no single row moves by a known step."""
_PLAIN_FROM = 0.01
"""Smaller numbers are written with a power of ten."""
_NARROW = {"columnspacing": 0.9, "handletextpad": 0.1}
_MARKS = (("o", INK), ("^", PALETTE[2]), ("v", PALETTE[0]))
"""Of the kinds of rows in a frame, in their order."""


@dataclass(frozen=True, slots=True)
class Found:
    """A shift of one kind of rows.

    Parameters
    ----------
    shift, error
        Of the figure, in the frame's unit; the error is 0 where it has none.
    """

    shift: float
    error: float


@dataclass(frozen=True, slots=True)
class Line:
    """What was found for one variant.

    Parameters
    ----------
    label
        The variant, with its dataset where there are several.
    found
        Shifts, one for each kind of rows; empty where they are undefined.
    note
        The numbers, written beside the frame.
    """

    label: str
    found: tuple[Found, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Frame:
    """One forest plot.

    Parameters
    ----------
    title, rows
        What shifts, and of how many rows.
    axis
        Label of the shift.
    kinds
        Of rows, each with the figure of the reference.
    smallest
        A shift that can be seen, in the frame's unit: that of one row, for efficiencies.
    lines
        One for each variant.
    """

    title: str
    rows: str
    axis: str
    kinds: tuple[str, ...]
    smallest: float
    lines: tuple[Line, ...]


def plot_decisions(decisions: Sequence[Path | str], plot: Path | str, *, model: str) -> None:
    """Draw the shifts of all observables of a model in all variants.

    Parameters
    ----------
    decisions
        JSON files of all variants and datasets of the model.
    plot
        The picture to write.
    model
        Its name.

    Raises
    ------
    StorageError
        If a file does not hold decisions.
    OutputError
        If the picture cannot be written.
    """
    documents = read_documents(decisions)
    with described_by(decisions):
        frames = list(frames_of(documents))
    across = min(_ACROSS, max(1, len(frames)))
    down = max(1, -(-len(frames) // across))
    height = 1.5 + 0.5 * max((len(frame.lines) for frame in frames), default=2)
    with picture(plot, 7 * across, down * height + 0.3) as figure:
        places = figure.subplots(down, across, squeeze=False).ravel()
        for axes in places[max(1, len(frames)) :]:
            axes.set_visible(False)
        if not frames:
            headline(places[0], model)
            nothing_to_show(places[0], "no observables")
        for index, (axes, frame) in enumerate(zip(places, frames, strict=False)):
            _draw(axes, frame, "" if index else model)


def frames_of(documents: Sequence[Document]) -> Iterator[Frame]:
    """Yield the frames of all observables, each with a line for each document."""
    datasets = {str(document["dataset"]) for document in documents}
    labelled = [
        (f"{d['variant']}, {d['dataset']}" if len(datasets) > 1 else str(d["variant"]), d) for d in documents
    ]
    for kind, frames in (("scores", _of_score), ("classes", _of_class), ("regressions", _of_regression)):
        for index in range(len(documents[0][kind]) if documents else 0):
            yield from frames([(label, document[kind][index]) for label, document in labelled])


_Labelled = Sequence[tuple[str, Document]]


def _of_score(scores: _Labelled) -> Iterator[Frame]:
    first = scores[0][1]
    for index, point in enumerate(first["working_points"]):
        kinds = {"all rows": "everything", "signal": "signal", "background": "background"}
        kinds = {name: key for name, key in kinds.items() if point[key] is not None}
        yield Frame(
            f"{first['name']} at {point['name']}: ≥ {point['threshold']:g}",
            counted(point["everything"]["rows"], "row"),
            "efficiency shift [percentage points]",
            tuple(_reference(name, point[key]) for name, key in kinds.items()),
            _one_row(point["everything"]),
            tuple(_line_at(label, score["working_points"][index], kinds.values()) for label, score in scores),
        )
    if first["separation"] is not None:
        separated = [(label, score["separation"]) for label, score in scores]
        area = separated[0][1]
        yield Frame(
            f"AUC of {first['name']}",
            f"{area['signal']} signal, {area['background']} others",
            "AUC shift",
            ()
            if area["reference"] is None
            else (f"reference {area['reference']:.4f} ± {area['error']:.4f}",),
            _SMALLEST,
            tuple(_plain_line(label, found, "shift", found["value"]) for label, found in separated),
        )


def _line_at(label: str, point: Document, keys: Iterable[str]) -> Line:
    found = tuple(_found(point[key]) for key in keys)
    return Line(label, found, _note(point["everything"], point["flipped"]))


def _of_class(figures: _Labelled) -> Iterator[Frame]:
    first = figures[0][1]
    lines = [(label, entry["classification"]) for label, entry in figures]
    right, rows = lines[0][1]["right"], lines[0][1]["rows"]
    known = right is not None
    yield Frame(
        f"class {first['name']}",
        counted(rows, "row"),
        "shift of the share that is right [percentage points]",
        (_reference("all rows", right), "true class that shifts most") if known else (),
        100 / max(1, rows),
        tuple(
            Line(
                label,
                (_found(found["right"]), _found(_most_shifted(found["by_class"]))) if known else (),
                _note(found["right"], found["flipped"]),
            )
            for label, found in lines
        ),
    )


def _of_regression(figures: _Labelled) -> Iterator[Frame]:
    first = figures[0][1]
    both = [(label, entry["resolution"]) for label, entry in figures]
    reference = both[0][1]["reference"]
    for key in ("resolution", "bias"):
        yield Frame(
            f"{key} of {first['name']}",
            counted(both[0][1]["used"], "row"),
            f"{key} shift, relative to the truth",
            () if reference is None else (f"reference {reference[key]:.4g}",),
            _SMALLEST,
            tuple(
                _plain_line(label, found, f"{key}_shift", found["value"] and found["value"][key])
                for label, found in both
            ),
        )


def _plain_line(label: str, found: Document, key: str, value: float | None) -> Line:
    if value is None:
        return Line(label, (), "undefined")
    shift = float(found[key])
    return Line(label, (Found(shift, 0.0),), f"{value:.5g}, " + (f"{shift:+.1e}" if shift else "no shift"))


def _found(efficiency: Document) -> Found:
    if efficiency["shift"] is None:
        return Found(0.0, 0.0)
    return Found(100 * efficiency["shift"], 100 * efficiency["shift_error"])


def _most_shifted(by_class: Sequence[Document]) -> Document:
    return max(by_class, key=lambda efficiency: abs(efficiency["shift"] or 0.0))


def _reference(kind: str, efficiency: Document) -> str:
    if efficiency["reference"] is None:
        return f"{kind}: none"
    return f"{kind}: {100 * efficiency['reference']:.1f} ± {100 * efficiency['error']:.1f} %"


def _note(efficiency: Document | None, flipped: int) -> str:
    flips = counted(flipped, "flip") if flipped else "no flip"
    if efficiency is None or efficiency["value"] is None:
        return flips
    return f"{100 * efficiency['value']:.2f} %, {flips}"


def _one_row(efficiency: Document) -> float:
    return 100 / max(1, int(efficiency["rows"]))


def _draw(axes: Axes, frame: Frame, model: str) -> None:
    headline(axes, f"{model}: {frame.title}" if model else frame.title, frame.rows)
    found = [found for line in frame.lines for found in line.found]
    reach = max((abs(shift.shift) + shift.error for shift in found), default=0.0)
    reach = 1.25 * max(reach, frame.smallest)
    power = int(np.floor(np.log10(reach))) if reach < _PLAIN_FROM else 0
    scale = 10.0**-power
    # The line ends below the legend.
    lowest, highest = len(frame.lines) - 0.4, -1.1
    axes.plot([0, 0], [lowest, -0.6], color=FAINT, linewidth=1.2, linestyle="--")
    for place, line in enumerate(frame.lines):
        for index, shift in enumerate(line.found):
            axes.errorbar(
                *(shift.shift * scale, place + 0.22 * (index - (len(line.found) - 1) / 2)),
                xerr=shift.error * scale or None,
                **_mark(index),
                linewidth=1.5,
                capsize=2.5,
            )
        axes.text(
            *(1.015, place, line.note),
            transform=axes.get_yaxis_transform(),
            va="center",
            size="x-small",
            color=INK if any(shift.shift for shift in line.found) else FAINT,
        )
    axes.set_xlim(-reach * scale, reach * scale)
    axes.set_ylim(lowest, highest)
    axes.set_yticks(range(len(frame.lines)), [line.label for line in frame.lines])
    axes.minorticks_off()
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(f"{frame.axis} [$10^{{{power}}}$]" if power else frame.axis, size="small")
    if frame.kinds:
        for index, kind in enumerate(frame.kinds):
            axes.plot([], [], label=kind, linestyle="none", **_mark(index, "marker"))
        axes.legend(loc="upper center", ncols=len(frame.kinds), fontsize="x-small", borderpad=0.1, **_NARROW)


def _mark(index: int, key: str = "fmt") -> dict[str, Any]:
    marker, colour = _MARKS[index]
    return {key: marker, "color": colour, "markersize": 5.5}
