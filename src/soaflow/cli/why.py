"""`soaflow why`: what a file of a run was made from, and whether all of it still lies there."""

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from soaflow.cli.text import LINE_LENGTH, listed, print_json
from soaflow.lineage.chain import Link, State, chain
from soaflow.lineage.kinds import SOURCE
from soaflow.lineage.record import Provenance
from soaflow.records import to_json

HASH_DIGITS = 12
"""Digits of a digest that are shown to people."""

_MARGIN = " " * (HASH_DIGITS + 2 + max(map(len, State)) + 2)


def run(arguments: argparse.Namespace) -> int:
    """Print the chain of a file back to its sources; 1 if a file or code in it is not the recorded one."""
    provenance = Provenance.read(arguments.provenance)
    links = list(chain(provenance, os.path.relpath(arguments.file)))
    if arguments.json:
        print_json([to_json(link) for link in links])
    else:
        for link in links:
            print("\n".join(_lines(provenance, link)))
        print(_summary(provenance, links), end="")
    return 0 if all(link.holds for link in links) else 1


def _lines(provenance: Provenance, link: Link) -> Iterator[str]:
    digest = (link.file.sha256 or "")[:HASH_DIGITS]
    indent = "  " * link.depth
    notes = "".join(f" ({note})" for note in _notes(link))
    yield f"{digest:<{HASH_DIGITS}}  {link.state:<{max(map(len, State))}}  {indent}{link.path}{notes}"
    if link.job is None:
        return
    start = f"{_MARGIN}{indent}  "
    wildcards = ", ".join(f"{name} {value}" for name, value in link.job.wildcards.items())
    yield f"{start}by {link.job.rule}{f': {wildcards}' if wildcards else ''}"
    for name, value in link.job.parameters.items():
        if flat := ", ".join(_flat(value)):
            yield _clipped(f"{start}{name}: {flat}")
    for name, code in link.job.code.items():
        state = "" if link.code[name] is State.SAME else f", {link.code[name]}"
        yield f"{start}{name}: {code[:HASH_DIGITS]}, {provenance.codes[code].module}{state}"


def _notes(link: Link) -> Iterator[str]:
    if link.file.kind == SOURCE.name:
        yield "source"
    if link.told_above:
        yield "see above"
    if not link.file.as_made:
        yield "touched or changed between its job and the provenance"
    if not link.proven:
        yield "not recorded when it was read"


def _flat(value: Any, name: str = "") -> Iterator[str]:
    """Yield the plain values inside a value, each with its place; what is empty says nothing."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _flat(entry, f"{name}.{key}" if name else key)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if any(isinstance(entry, Mapping) for entry in value):
            for index, entry in enumerate(value):
                yield from _flat(entry, f"{name}.{index}" if name else str(index))
        elif value:
            yield f"{name}{' ' if name else ''}{json.dumps(value)}"
    elif value is not None:
        yield f"{name}{' ' if name else ''}{value}"


def _clipped(line: str) -> str:
    return line if len(line) <= LINE_LENGTH else f"{line[: LINE_LENGTH - 1]}…"


def _summary(provenance: Provenance, links: Sequence[Link]) -> str:
    """Say in a few lines what all of it comes from."""
    paths = {link.path for link in links}
    sources = sorted({link.path for link in links if link.file.kind == SOURCE.name})
    broken = len({link.path for link in links if not link.holds})
    digests = {digest for link in links if link.job for digest in link.job.code.values()}
    versions = {f"{n} {v}" for digest in digests for n, v in provenance.codes[digest].distributions.items()}
    at = provenance.environment
    said = {
        "sources": sources or "none: everything is generated",
        "environment": [f"Python {at.python}", *sorted(versions)],
        "recorded": [f"with soaflow {at.soaflow}", f"Snakemake {at.snakemake}", f"on {at.cpu}"],
        "state": f"{len(paths)} files, {broken or 'none'} changed, gone, or made by code that changed",
    }
    return f"\n{listed(said, indent='')}"
