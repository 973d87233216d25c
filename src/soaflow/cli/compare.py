"""`soaflow compare`: judge predictions, from soaflow or from anywhere, against a reference."""

import argparse
from pathlib import Path

from soaflow.cli.layout import read_layout
from soaflow.cli.verdicts import given_yardstick, told
from soaflow.compare.judging import judge
from soaflow.compare.measurement import Measurement, write_measurement
from soaflow.compare.measuring import measure
from soaflow.compare.sources import is_own, opened_sources, unstated
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.verdict import write_verdict
from soaflow.compare.yardstick import DEFAULT_FACTOR, Yardstick
from soaflow.errors import ConfigError
from soaflow.files import check_not_inputs
from soaflow.soa.layout import DEFAULT_ALIGNMENT, Layout
from soaflow.soa.signature import PREDICTION_COLLECTION
from soaflow.soa.storage import PREDICTIONS, read_header

EXACT = Tolerance(absolute=0.0, relative=0.0)

BY_DTYPE = {
    "float32": Tolerance(absolute=1e-5, relative=1e-4),
    "float64": Tolerance(absolute=1e-9, relative=1e-9),
}
"""Of items by their dtype, where the command line gives no tolerance; other items must be equal."""


def run(arguments: argparse.Namespace) -> int:
    """Compare two files, print the table and the failures, and write the verdict and the figures if asked."""
    outputs = [path for path in (arguments.json, arguments.measurement) if path]
    inputs = [path for path in (arguments.reference, arguments.candidate, arguments.eager) if path]
    check_not_inputs(outputs, inputs)
    yardstick = given_yardstick(arguments)
    if yardstick and not arguments.eager:
        raise ConfigError(
            "--factor and --floor judge by the error of eager float32: give its file with --eager"
        )
    if arguments.layout and not arguments.blob:
        raise ConfigError("--layout names the items of a blob: give it with --blob")
    layout = _layout(arguments.layout) if arguments.layout else None
    with opened_sources(arguments.reference, arguments.candidate, raw=arguments.blob, blob=layout) as (
        reference,
        candidate,
    ):
        measured = measure(reference, candidate)
        notes = unstated(reference, candidate), unstated(candidate, reference)
    verdict = judge(
        measured,
        _tolerances(arguments, measured),
        yard=_yard(arguments),
        yardstick=yardstick or Yardstick(DEFAULT_FACTOR, 0.0),
    )
    if arguments.measurement:
        write_measurement(arguments.measurement, measured)
    if arguments.json:
        write_verdict(arguments.json, verdict)
    code = told(verdict)
    for note in filter(None, notes):
        print(f"note: {note}")
    return code


def _yard(arguments: argparse.Namespace) -> Measurement | None:
    """Measure the error of eager float32, if its predictions are given."""
    if not arguments.eager:
        return None
    with opened_sources(arguments.reference, arguments.eager) as (reference, eager):
        return measure(reference, eager)


def _layout(path: Path) -> Layout:
    """Return the layout of a predictions file, or the one that a file lists."""
    if path.suffix in (".yaml", ".yml", ".json") or not is_own(path):
        return read_layout(path, DEFAULT_ALIGNMENT)
    return read_header(path, PREDICTIONS).collection(PREDICTION_COLLECTION).placement.layout


def _tolerances(arguments: argparse.Namespace, measured: Measurement) -> Tolerance | dict[str, Tolerance]:
    if arguments.absolute is not None or arguments.relative is not None:
        return Tolerance(arguments.absolute or 0.0, arguments.relative or 0.0)
    return {output.item: BY_DTYPE.get(output.dtype, EXACT) for output in measured.outputs}
