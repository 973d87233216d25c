"""`soaflow bisect`: the first operation at which a candidate begins to differ from a program."""

import argparse
import os
from pathlib import Path

from soaflow.archives import AOT, FAT
from soaflow.description import read_description
from soaflow.errors import ConfigError
from soaflow.export.environment import prepare_environment
from soaflow.passport import read_passport
from soaflow.profiles import find_profile
from soaflow.targets import Target, find_target
from soaflow.threads import SINGLE_THREAD_VARIABLES, run_single_threaded
from soaflow.verification import chosen_target


def run(arguments: argparse.Namespace) -> int:
    """Print where it begins; 1 if it does, 0 if no operation diverges."""
    if arguments.rows < 0:
        raise ConfigError(f"--rows is {arguments.rows}: give 0 for all, or more")
    if not 0 < arguments.factor < float("inf"):
        raise ConfigError(f"--factor is {arguments.factor}: give a number above 0")
    # NumPy and torch read these variables when they are loaded.
    os.environ.update(SINGLE_THREAD_VARIABLES)
    prepare_environment(_packs_weights_for(arguments.candidate))
    run_single_threaded()
    from soaflow.bisect.search import bisect  # noqa: PLC0415  loads torch

    answer = bisect(
        arguments.program,
        arguments.candidate,
        arguments.events,
        made_from=arguments.made_from,
        rows=arguments.rows,
        factor=arguments.factor,
    )
    print(answer.describe())
    return 1 if answer.diverges else 0


def _packs_weights_for(candidate: Path) -> Target | None:
    """Return the target if its weights may be packed; for others it would hide this CPU's own kernels."""
    description = read_description(candidate)
    if description.kind not in (AOT, FAT) or not find_profile(description.profile).may_pack_weights:
        return None
    name = chosen_target(read_passport(candidate)) if description.kind == FAT else description.targets[0]
    return find_target(name)
