"""What a model is worth to a physicist: a picture and figures for each target, by its loss.

A regression (`squared_error`) is shown as its response, a probability (`binary_cross_entropy`) as
efficiency against mistag rate, a class (`cross_entropy`) as a confusion matrix. All are of validation
rows alone, and say so.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from soaflow.errors import ConfigError
from soaflow.files import write_json
from soaflow.report.response import draw_response
from soaflow.report.style import picture
from soaflow.report.validation import ValidationRows, read_validation_rows

Figures = dict[str, Any]


def physics_plot(
    events: Sequence[Path | str],
    predictions: Sequence[Path | str],
    target: Mapping[str, Any],
    plot: Path | str,
    figures: Path | str,
    *,
    model: str,
    validation_fraction: float,
    prediction_item: str | None = None,
) -> None:
    """Draw a target's physics result and write its figures.

    Parameters
    ----------
    events, predictions
        Events files of all shards and the reference's predictions for them, in one order.
    target
        `{output, collection, item, loss, equals}`; `equals` may be absent or None.
    plot
        The picture to write.
    figures
        The JSON to write: model, output, item, loss, rows, and the figures of the loss.
    model
        Its name.
    validation_fraction
        Of each file's events.
    prediction_item
        That the output fills; the output's own name if None.

    Raises
    ------
    ConfigError
        If the loss has no physics result.
    StorageError
        If a file is not sound, or its items and rows do not fit.
    OutputError
        If a file cannot be written.
    """
    draw = {"squared_error": _response, "binary_cross_entropy": _tagging, "cross_entropy": _classes}.get(
        target["loss"]
    )
    if draw is None:
        raise ConfigError(f"the loss {target['loss']!r} of output '{target['output']}' has no physics result")
    rows = read_validation_rows(
        events,
        predictions,
        target,
        prediction_item=prediction_item or target["output"],
        fraction=validation_fraction,
    )
    title = f"{model}: {target['output']}"
    with picture(plot, 11, 5) as figure:
        found = draw(figure, rows, title, target)
    described = {key: target[key] for key in ("output", "collection", "item", "loss")}
    write_json(figures, {"model": model, **described, "rows": rows.rows, "of": rows.described, **found})


def _response(figure: Figure, rows: ValidationRows, title: str, _target: Mapping[str, Any]) -> Figures:
    return draw_response(figure, rows, title)


def _tagging(figure: Figure, rows: ValidationRows, title: str, target: Mapping[str, Any]) -> Figures:
    from soaflow.report.tagging import draw_tagging  # noqa: PLC0415  it loads scikit-learn, for 1 s

    return draw_tagging(figure, rows, title, target.get("equals"))


def _classes(figure: Figure, rows: ValidationRows, title: str, _target: Mapping[str, Any]) -> Figures:
    from soaflow.report.classes import draw_classes  # noqa: PLC0415  it loads scikit-learn, for 1 s

    return draw_classes(figure, rows, title)
