"""`soaflow reproduced`: whether two runs gave the same, and what exactly they did not."""

import argparse

from soaflow.cli.text import print_json, table
from soaflow.lineage.reproduction import Compared, Outcome, by_kind, compare_runs
from soaflow.records import to_json

HASH_DIGITS = 12
"""Digits of a digest that are shown to people."""


def run(arguments: argparse.Namespace) -> int:
    """Print the table of hashes by kind and each difference; 1 if one was not to be expected."""
    compared = compare_runs(arguments.first, arguments.second, arguments.kinds)
    if arguments.json:
        print_json([to_json(one) | {"outcome": one.outcome} for one in compared])
    else:
        print(_table(compared), end="")
        for one in compared:
            if one.outcome is not Outcome.EQUAL:
                notes = "; ".join(filter(None, (one.reason, one.detail)))
                print(f"{one.outcome}: {one.kind} {one.name}{f' ({notes})' if notes else ''}")
    return 1 if any(one.fails for one in compared) else 0


def _table(compared: tuple[Compared, ...]) -> str:
    rows = [
        (
            of_kind.kind,
            of_kind.first[:HASH_DIGITS],
            of_kind.second[:HASH_DIGITS],
            *(of_kind.counts.get(outcome, 0) for outcome in Outcome),
        )
        for of_kind in by_kind(compared)
    ]
    return table(("what", "first", "second", *Outcome), rows)
