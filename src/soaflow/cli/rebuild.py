"""`soaflow rebuild`: an AOT artifact from a program file alone."""

import argparse
import os
from pathlib import Path

from soaflow.description import Description, read_description
from soaflow.export.environment import prepare_environment
from soaflow.files import check_not_inputs
from soaflow.inputs import reading
from soaflow.passport import passport_path
from soaflow.targets import find_target, require_buildable
from soaflow.threads import SINGLE_THREAD_VARIABLES


def run(arguments: argparse.Namespace) -> int:
    """Build as the workflow does, in a process that has seen nothing of this CPU beyond the target."""
    # NumPy, which is asked about the CPU, reads these when it is loaded.
    os.environ.update(SINGLE_THREAD_VARIABLES)
    target = find_target(arguments.target)
    require_buildable(target)
    inputs = arguments.program, passport_path(arguments.program)
    with reading(inputs):
        description = read_description(arguments.program)
        output = arguments.output or _named(description, arguments.target, arguments.profile)
        check_not_inputs((output, passport_path(output)), inputs)
        prepare_environment(target)
        # Torch and its libraries read the environment when they are loaded, which happens here.
        from soaflow.export.aot import write_aot  # noqa: PLC0415

        passport = write_aot(arguments.program, target.name, output, profile_name=arguments.profile)
    made = passport.made[target.name]
    how = "from the cache" if made["from_cache"] else "compiled"
    print(f"{output}: {passport.size} bytes for {target.name}, {how} and checked in {made['seconds']:.1f} s")
    return 0


def _named(program: Description, target: str, profile: str) -> Path:
    return Path(f"{program.model}.{program.dtype}.{target}.{profile}.pt2")
