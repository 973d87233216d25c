"""`soaflow layout`: where the items of a collection lie in its blob."""

import argparse
from pathlib import Path

from soaflow.cli.text import placement_mapping, placement_table, print_json
from soaflow.errors import LayoutError
from soaflow.files import read_yaml
from soaflow.soa.layout import Layout


def run(arguments: argparse.Namespace) -> int:
    """Print the layout that a file lists, for a number of rows."""
    placement = read_layout(arguments.file, arguments.alignment).place(arguments.rows)
    if arguments.json:
        print_json(placement_mapping(placement))
        return 0
    print(
        f"{len(placement.layout.items)} items, {placement.rows} rows, alignment "
        f"{placement.layout.alignment} bytes; offsets in bytes, strides in elements\n"
    )
    print(placement_table(placement))
    print(f"blob: {placement.blob_bytes} bytes")
    return 0


def read_layout(path: Path, alignment: int) -> Layout:
    """Read the items that a YAML or JSON file lists.

    Raises
    ------
    StorageError
        If the file is not there or is not YAML.
    LayoutError
        If it is no list of items.
    """
    entries = read_yaml(path)
    try:
        return Layout.from_mappings(entries, alignment)
    except LayoutError as error:
        raise LayoutError(f"{path}: {error}") from error
