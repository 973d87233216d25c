"""What a shard costs in a run of 1, 4, 16 or 64 of them.

    python tests/benchmarks/shards.py 1 4 16 64

makes the verdict on one compiled variant of a model from shards of the same size, one job at a time, and
prints what it took. Whether the cost of a shard is constant shows in the last two columns: what each shard
beyond those of the row above has added, in the jobs and in Snakemake's own process.
"""

import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "tests"))

import checkouts  # noqa: E402  in a folder that pytest alone knows
import shards_of_toys  # noqa: E402

EVENTS = 10_000
"""Of a shard: some 100 000 particles, which are the rows."""

VARIANTS = {"aot": {"backend": "aot", "batch_size": 1024}}

TARGET = "results/verdicts/toy/SimpleNet.aot.json"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run took: CPU seconds of Snakemake and of its jobs, and the memory of the largest job in MiB."""

    snakemake: float
    jobs: float
    mebibytes: float


def run_cost(folder: Path) -> Cost:
    """Return what it takes to make the verdict; the artifact is there."""
    done = subprocess.run(
        [sys.executable, __file__, "--run", TARGET],
        cwd=folder,
        env=checkouts.Checkout(folder, library=folder / "src").environment(),
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    return Cost(*json.loads(done.stdout.splitlines()[-1]))


def run_and_print_cost(target: str) -> None:
    from snakemake.cli import main  # noqa: PLC0415  its import is part of the cost

    try:
        main(["--cores", "1", "--quiet", "all", "--", target])
    except SystemExit as error:
        if error.code:
            raise
    own, jobs = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = [used.ru_utime + used.ru_stime for used in (own, jobs)]
    print(json.dumps([*seconds, jobs.ru_maxrss / 1024]))


def print_table(numbers: list[int]) -> None:
    print(
        "| shards | jobs' CPU time | Snakemake's | largest job | a further shard's jobs | Snakemake's part |"
    )
    print("|" + "--:|" * 6)
    previous: tuple[int, Cost] | None = None
    for shards in numbers:
        with tempfile.TemporaryDirectory() as name:
            checkout = checkouts.make_checkout(
                Path(name) / "checkout", shards_of_toys.configuration(shards, EVENTS, VARIANTS)
            )
            exported = checkout.snakemake("--", "results/artifacts/SimpleNet.float32.native.balanced.pt2")
            assert exported.returncode == 0, exported.stderr
            cost = run_cost(checkout.folder)
        further = ["", ""]
        if previous:
            fewer, less = previous
            added = shards - fewer
            further = [
                f"{(cost.jobs - less.jobs) / added:.2f} s",
                f"{(cost.snakemake - less.snakemake) / added * 1000:.0f} ms",
            ]
        columns = [str(shards), f"{cost.jobs:.1f} s", f"{cost.snakemake:.1f} s", f"{cost.mebibytes:.0f} MiB"]
        print(f"| {' | '.join(columns + further)} |", flush=True)
        previous = shards, cost


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--run", target]:
            run_and_print_cost(target)
        case numbers:
            print_table([int(number) for number in numbers])
