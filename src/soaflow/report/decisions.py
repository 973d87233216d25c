"""How far each variant's decisions are from the reference's: a line for each variant, a frame for each shift.

A frame is a forest plot: what was found with its error bar, and the numbers beside it. Efficiencies have
frames of their own at each working point, beside those of areas, resolutions and biases.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from soaflow.report.documents import described_by, read_documents
from soaflow.report.style import FAINT, INK, PALETTE, counted, headline, nothing_to_show, picture

Document = Mapping[str, Any]
_ACROSS = 2
_MARKS = {"all rows": ("o", INK), "signal": ("^", PALETTE[2]), "background": ("v", PALETTE[0])}
_CLASS_MARK = "class that shifts most"
_MARKS |= {_CLASS_MARK: ("D", PALETTE[1])}


@dataclass(frozen=True, slots=True)
class Found:
    """A shift of one kind of rows.

    Parameters
    ----------
    kind
        Of the rows, as the legend names it.
    shift, error
        Of the figure, in the frame's unit; the error is 0 where it has none.
    """

    kind: str
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
        Shifts, one under the other.
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
    title, reference
        What shifts, and from where.
    axis
        Label of the shift.
    smallest
        A shift that can be seen, in the frame's unit: that of one row, for efficiencies.
    lines
        One for each variant.
    """

    title: str
    reference: str
    axis: str
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
    down = max(1, -(-len(frames) // _ACROSS))
    height = 1.5 + 0.5 * max((len(frame.lines) for frame in frames), default=2)
    with picture(plot, 14, down * height + 0.3) as figure:
        places = figure.subplots(down, _ACROSS, squeeze=False).ravel()
        for axes in places[max(1, len(frames)) :]:
            axes.set_visible(False)
        if not frames:
            headline(places[0], model)
            nothing_to_show(places[0], "no observables")
        for axes, frame in zip(places, frames, strict=False):
            _draw(axes, frame, f"{model}: {frame.title}")


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
        lines = [(label, score["working_points"][index]) for label, score in scores]
        yield Frame(
            f"{first['name']} at {point['name']}, ≥ {point['threshold']:g}",
            _reference(point["everything"], "passes"),
            "efficiency shift [percentage points]",
            _one_row(point["everything"]),
            tuple(_line_at(label, found) for label, found in lines),
        )
    if first["separation"] is not None:
        separated = [(label, score["separation"]) for label, score in scores]
        reference = separated[0][1]
        yield Frame(
            f"area under the ROC curve of {first['name']}",
            "undefined"
            if reference["reference"] is None
            else f"reference {reference['reference']:.4f} ± {reference['error']:.4f}",
            "AUC shift",
            1e-9,
            tuple(_plain_line(label, found, "shift", found["value"]) for label, found in separated),
        )


def _line_at(label: str, point: Document) -> Line:
    kinds = {"all rows": "everything", "signal": "signal", "background": "background"}
    found = tuple(_found(name, point[key]) for name, key in kinds.items() if point[key] is not None)
    return Line(label, found, _note(point["everything"], point["flipped"]))


def _of_class(figures: _Labelled) -> Iterator[Frame]:
    first = figures[0][1]
    lines = [(label, entry["classification"]) for label, entry in figures]
    right = lines[0][1]["right"]
    if right is None:
        everything = {"rows": lines[0][1]["rows"]}
        yield Frame(
            f"class {first['name']}",
            counted(everything["rows"], "row"),
            "",
            1.0,
            tuple(Line(label, (), counted(found["flipped"], "flip")) for label, found in lines),
        )
        return
    yield Frame(
        f"class {first['name']}",
        _reference(right, "is right"),
        "shift of the share that is right [percentage points]",
        _one_row(right),
        tuple(
            Line(
                label,
                (_found("all rows", found["right"]), _found(_CLASS_MARK, _most_shifted(found["by_class"]))),
                _note(found["right"], found["flipped"]),
            )
            for label, found in lines
        ),
    )


def _of_regression(figures: _Labelled) -> Iterator[Frame]:
    first = figures[0][1]
    for key, title in (("resolution", "resolution of {}"), ("bias", "bias of {}")):
        both = [(label, entry["resolution"]) for label, entry in figures]
        reference = both[0][1]["reference"]
        yield Frame(
            title.format(first["name"]),
            "no rows" if reference is None else f"reference {reference[key]:.4g}",
            f"{key} shift, relative to the truth",
            1e-9,
            tuple(
                _plain_line(label, found, f"{key}_shift", found["value"] and found["value"][key])
                for label, found in both
            ),
        )


def _plain_line(label: str, found: Document, key: str, value: float | None) -> Line:
    if value is None:
        return Line(label, (), "undefined")
    shift = float(found[key])
    return Line(label, (Found("all rows", shift, 0.0),), f"{shift:+.2g}" if shift else "no shift")


def _found(kind: str, efficiency: Document) -> Found:
    if efficiency["shift"] is None:
        return Found(kind, 0.0, 0.0)
    return Found(kind, 100 * efficiency["shift"], 100 * efficiency["shift_error"])


def _most_shifted(by_class: Sequence[Document]) -> Document:
    return max(by_class, key=lambda efficiency: abs(efficiency["shift"] or 0.0))


def _reference(efficiency: Document, verb: str) -> str:
    if efficiency["reference"] is None:
        return "no rows"
    share, error = 100 * efficiency["reference"], 100 * efficiency["error"]
    return f"{share:.2f} ± {error:.2f} % of {counted(efficiency['rows'], 'row')} {verb}"


def _one_row(efficiency: Document) -> float:
    return 100 / max(1, efficiency["rows"])


def _note(efficiency: Document, flipped: int) -> str:
    value = efficiency["value"]
    flips = counted(flipped, "flip") if flipped else "no flip"
    return flips if value is None else f"{100 * value:.2f} %, {flips}"


def _draw(axes: Axes, frame: Frame, title: str) -> None:
    headline(axes, title, frame.reference)
    lines = frame.lines
    kinds = list(dict.fromkeys(found.kind for line in lines for found in line.found))
    reach = max((abs(f.shift) + f.error for line in lines for f in line.found), default=0.0)
    reach = 1.25 * max(reach, frame.smallest)
    axes.axvline(0, color=FAINT, linewidth=1.2, linestyle="--")
    for place, line in enumerate(lines):
        for index, found in enumerate(line.found):
            marker, colour = _MARKS[found.kind]
            axes.errorbar(
                *(found.shift, place + 0.22 * (index - (len(line.found) - 1) / 2)),
                xerr=found.error or None,
                fmt=marker,
                color=colour,
                markersize=5.5,
                linewidth=1.5,
                capsize=2.5,
            )
        axes.text(
            *(1.015, place, line.note),
            transform=axes.get_yaxis_transform(),
            va="center",
            size="x-small",
            color=INK if any(found.shift for found in line.found) else FAINT,
        )
    axes.set_xlim(-reach, reach)
    axes.set_ylim(len(lines) - 0.4, -0.6 - (0.55 if len(kinds) > 1 else 0))
    axes.set_yticks(range(len(lines)), [line.label for line in lines])
    axes.minorticks_off()
    axes.tick_params(axis="y", length=0, right=False)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.ticklabel_format(axis="x", style="sci", scilimits=(-3, 3), useMathText=True)
    axes.set_xlabel(frame.axis, size="small")
    if len(kinds) > 1:
        handles = [
            axes.plot([], [], _MARKS[kind][0], color=_MARKS[kind][1], markersize=5.5, label=kind)[0]
            for kind in kinds
        ]
        axes.legend(handles=handles, loc="upper center", ncols=len(kinds), fontsize="x-small", borderpad=0.1)
