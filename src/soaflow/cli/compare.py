"""`soaflow compare`: judge predictions against a reference."""

import argparse

from soaflow.compare.summary import as_text, failures, summarise
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.verdict import compare_files, write_verdict
from soaflow.files import check_not_inputs
from soaflow.soa.signature import PREDICTION_COLLECTION
from soaflow.soa.storage import PREDICTIONS, read_header

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
    verdict = compare_files(arguments.reference, arguments.candidate, _tolerances(arguments))
    if arguments.json:
        write_verdict(arguments.json, verdict)
    print(as_text(summarise([verdict])), end="")
    for sentence in failures([verdict]):
        print(f"failed: {sentence}")
    return 0 if verdict.passed else 1


def _tolerances(arguments: argparse.Namespace) -> Tolerance | dict[str, Tolerance]:
    if arguments.absolute is not None or arguments.relative is not None:
        return Tolerance(arguments.absolute or 0.0, arguments.relative or 0.0)
    layout = read_header(arguments.candidate, PREDICTIONS).collection(PREDICTION_COLLECTION).placement.layout
    return {item.name: BY_DTYPE.get(item.dtype, EXACT) for item in layout.items}
