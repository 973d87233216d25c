"""`soaflow judge`: judge a verdict again at other tolerances, from its figures alone."""

import argparse

from soaflow.cli.verdicts import told
from soaflow.compare.judging import judge_again
from soaflow.compare.summary import require_outputs
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.verdict import read_verdict


def run(arguments: argparse.Namespace) -> int:
    """Print the table and the failures at the tolerances given, or at the verdict's own without any."""
    verdict = read_verdict(arguments.verdict)
    require_outputs([verdict])
    if arguments.absolute is not None or arguments.relative is not None:
        verdict = judge_again(verdict, Tolerance(arguments.absolute or 0.0, arguments.relative or 0.0))
    return told(verdict)
