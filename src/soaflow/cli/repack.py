"""`soaflow repack`: make a file mappable again that another HDF5 tool has rewritten."""

import argparse

from soaflow.soa.repack import repack
from soaflow.soa.storage import read_header


def run(arguments: argparse.Namespace) -> int:
    """Rewrite a file and say what it holds."""
    repack(arguments.source, arguments.destination)
    header = read_header(arguments.destination)
    collections = ", ".join(f"{name} ({c.placement.rows} rows)" for name, c in header.collections.items())
    print(f"{arguments.destination}: {header.kind}, {collections or 'no collections'}")
    return 0
