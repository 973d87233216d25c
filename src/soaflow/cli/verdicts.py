"""How the verbs tell a verdict: the table, then what failed and what is waived."""

import argparse

from soaflow.compare.summary import as_text, failures, idle_waivers, summarise, waived
from soaflow.compare.verdict import Verdict
from soaflow.compare.yardstick import DEFAULT_FACTOR, Yardstick


def given_yardstick(arguments: argparse.Namespace) -> Yardstick | None:
    """Return the yardstick of --factor and --floor; None if neither is given."""
    if arguments.factor is None and arguments.floor is None:
        return None
    factor = DEFAULT_FACTOR if arguments.factor is None else arguments.factor
    return Yardstick(factor, arguments.floor or 0.0)


def verdict_text(verdict: Verdict) -> str:
    """Return the table of a verdict and a line for each failure and waiver."""
    sentences = (
        *(f"failed: {sentence}" for sentence in failures([verdict])),
        *(f"waived: {sentence}" for sentence in waived([verdict])),
        *(f"note: {sentence}" for sentence in idle_waivers([verdict])),
    )
    return as_text(summarise([verdict])) + "".join(f"{sentence}\n" for sentence in sentences)


def told(verdict: Verdict) -> int:
    """Print a verdict, and return the exit code: 0 if all passed or is waived, 1 if not."""
    print(verdict_text(verdict), end="")
    return 0 if verdict.accepted else 1
