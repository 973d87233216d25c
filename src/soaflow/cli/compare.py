"""`soaflow compare`: judge predictions against a reference."""

import argparse

from soaflow.cli.verdicts import told
from soaflow.compare.judging import judge
from soaflow.compare.measurement import Measurement
from soaflow.compare.measuring import measure_files
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.verdict import write_verdict
from soaflow.files import check_not_inputs

EXACT = Tolerance(absolute=0.0, relative=0.0)

BY_DTYPE = {
    "float32": Tolerance(absolute=1e-5, relative=1e-4),
    "float64": Tolerance(absolute=1e-9, relative=1e-9),
}
"""Of items by their dtype, where the command line gives no tolerance; other items must be equal."""


def run(arguments: argparse.Namespace) -> int:
    """Compare two predictions files, print the table and the failures, and write the verdict if asked."""
    if arguments.json:
        check_not_inputs((arguments.json,), (arguments.reference, arguments.candidate))
    measured = measure_files(arguments.reference, arguments.candidate)
    verdict = judge(measured, _tolerances(arguments, measured))
    if arguments.json:
        write_verdict(arguments.json, verdict)
    return told(verdict)


def _tolerances(arguments: argparse.Namespace, measured: Measurement) -> Tolerance | dict[str, Tolerance]:
    if arguments.absolute is not None or arguments.relative is not None:
        return Tolerance(arguments.absolute or 0.0, arguments.relative or 0.0)
    return {output.item: BY_DTYPE.get(output.dtype, EXACT) for output in measured.outputs}
