"""`soaflow judge`: judge a verdict again at other tolerances, from its figures alone."""

import argparse

from soaflow.compare.summary import as_text, failures, require_outputs, summarise
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.verdict import judge_again, read_verdict


def run(arguments: argparse.Namespace) -> int:
    """Print the table and the failures at the tolerances given, or at the verdict's own without any."""
    verdict = read_verdict(arguments.verdict)
    require_outputs([verdict])
    if arguments.absolute is not None or arguments.relative is not None:
        verdict = judge_again(verdict, Tolerance(arguments.absolute or 0.0, arguments.relative or 0.0))
    print(as_text(summarise([verdict])), end="")
    for sentence in failures([verdict]):
        print(f"failed: {sentence}")
    return 0 if verdict.passed else 1
