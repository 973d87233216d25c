"""`soaflow pack`: artifacts for several CPUs in one."""

import argparse

from soaflow.files import check_not_inputs
from soaflow.inputs import reading
from soaflow.passport import passport_path


def run(arguments: argparse.Namespace) -> int:
    """Pack verified artifacts, and say what the package holds."""
    output = arguments.output
    inputs = [*arguments.artifacts, *map(passport_path, arguments.artifacts)]
    check_not_inputs((output, passport_path(output)), inputs)
    from soaflow.export.fat import write_fat  # noqa: PLC0415  loads torch

    with reading(inputs):
        passport = write_fat(arguments.artifacts, output)
    print(f"{output}: {passport.size} bytes for {', '.join(passport.description.targets)}")
    return 0
