"""How long Snakemake takes to plan the workflow for many inference jobs, and what of that is its own.

    python tests/benchmarks/planning.py 10 100 1000 10000

prints a table. The floor is the same plan without anything of this project: rules with the same directives
and groups, and the same numbers of jobs, files, edges, parameters and submissions, but constants for
parameters and inputs that are looked up in a table, in a Snakefile that imports nothing. The bare floor has
inputs, outputs and a command.
"""

import json
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from snakemake.api import SnakemakeApi
from snakemake.cli import main
from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "tests"))

import shards_of_toys  # noqa: E402  in a folder that pytest alone knows

VARIANTS = ("eager", "jit", "aot", "onnx")
MANY = 5000
JOBS_OF_A_SHARD = len(VARIANTS) + 1  # and the reference's

FLOOR = """
import json
from pathlib import Path

PLAN = json.loads(Path("plan.json").read_text())

def inputs(rule):
    def find(wildcards):
        return PLAN[rule][int(wildcards.job)]
    return find

rule:
    default_target: True
    input: {targets}
"""
RULE = """
rule {name}:
    input: inputs("{name}")
    output: {outputs}
"""
BARE = """
    shell: "true"
"""
DIRECTIVES = """
    log: "logs/{name}/{{job}}"
    benchmark: "benchmarks/{name}/{{job}}"
    conda: "environment.yaml"
    threads: 1
    resources: mem="500MB", runtime="10m"
    params: {params}
    {group}
    message: "Job {{wildcards.job}} of {name}"
    script: "script.py"
"""


@dataclass(frozen=True, slots=True)
class Planned:
    """One job of a plan."""

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: int
    group: str | None
    submission: int
    """Number of what would be submitted with this job in it: a group's jobs go out together."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What `snakemake -n` took: seconds of CPU time, and its largest memory in MiB."""

    seconds: float
    mebibytes: float


def many_jobs(inference_jobs: int) -> dict[str, Any]:
    """Return a configuration with so many inference jobs, the reference's included."""
    variants = {name: {"backend": name} for name in VARIANTS}
    return shards_of_toys.configuration(inference_jobs // JOBS_OF_A_SHARD, JOBS_OF_A_SHARD, variants)


def write_floor(jobs: list[Planned], folder: Path) -> None:
    """Write two Snakefiles with as many jobs, files and edges: `Snakefile` with our directives, and `Bare`.

    Parameters
    ----------
    jobs
        Of the plan; one without outputs is the target.
    folder
        Where they are written, with what they look up and name.
    """
    places: dict[str, str] = {}
    by_rule: dict[str, list[Planned]] = defaultdict(list)
    for job in jobs:
        by_rule[job.rule].append(job)
    for rule, same in by_rule.items():
        for number, job in enumerate(same):
            places |= {name: f"{rule}/{number}/{index}" for index, name in enumerate(job.outputs)}
    made = {rule: same for rule, same in by_rule.items() if same[0].outputs}
    (targets,) = (
        [places[name] for name in same[0].inputs] for rule, same in by_rule.items() if rule not in made
    )
    plan = {rule: [[places[name] for name in job.inputs] for job in same] for rule, same in made.items()}
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "script.py").touch()
    (folder / "environment.yaml").touch()
    for snakefile, directives in (("Snakefile", DIRECTIVES), ("Bare", BARE)):
        rules = (
            (RULE + directives).format(
                name=rule,
                outputs=", ".join(f'"{rule}/{{job}}/{index}"' for index in range(len(same[0].outputs))),
                params=", ".join(f"p{index}={index}" for index in range(same[0].params)),
                group=f'group: "{same[0].group}"' if same[0].group else "",
            )
            for rule, same in made.items()
        )
        (folder / snakefile).write_text(FLOOR.format(targets=", ".join(map(repr, targets))) + "".join(rules))


def plan(snakefile: Path, folder: Path, *arguments: str) -> list[Planned]:
    """Return the jobs that Snakemake plans."""
    command = [sys.executable, __file__, "--plan", str(snakefile), *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return [
        Planned(rule, tuple(inputs), tuple(outputs), *rest)
        for rule, inputs, outputs, *rest in json.loads(done.stdout.splitlines()[-1])
    ]


def print_plan(snakefile: Path, configfiles: list[Path]) -> None:
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=configfiles),
            snakefile=snakefile,
        )
        # Of what plans without running, only a dry run forms groups.
        workflow.dag().execute_workflow(executor="dryrun")
        submissions = [
            list(one) if one.is_group() else [one] for one in workflow._workflow.dag.get_jobs_or_groups()
        ]
    jobs = [
        [job.rule.name, [*job.input], [*job.output], len(job.params), job.group, number]
        for number, together in enumerate(submissions)
        for job in together
    ]
    print(json.dumps(jobs))


def cost(snakefile: Path, folder: Path, *arguments: str) -> Cost:
    """Return what a dry run costs, from the start of the process to its end."""
    command = [sys.executable, __file__, "--cost", "-n", "--quiet", "all", "-s", str(snakefile), *arguments]
    done = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return Cost(*json.loads(done.stdout.splitlines()[-1]))


def print_cost(arguments: list[str]) -> None:
    try:
        main(arguments)
    except SystemExit as error:
        if error.code:
            raise
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))


def shape(jobs: list[Planned]) -> dict[str, int]:
    """Return the numbers of jobs, of files that they make, of edges, of parameters and of submissions."""
    made = {name for job in jobs for name in job.outputs}
    edges = sum(len(job.inputs) for job in jobs)
    return {
        "jobs": len(jobs),
        "files": len(made),
        "edges": edges,
        "parameters": sum(job.params for job in jobs),
        "submissions": len({job.submission for job in jobs}),
    }


def compare(inference_jobs: int, folder: Path, repetitions: int) -> str:
    """Return a row of the table: the cheapest of some dry runs of each, in turn."""
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(many_jobs(inference_jobs)))
    jobs = plan(REPOSITORY / "Snakefile", folder, str(config))
    write_floor(jobs, folder)
    assert shape(plan(folder / "Snakefile", folder)) == shape(jobs)
    measured = (
        (REPOSITORY / "Snakefile", folder, "--configfile", str(config)),
        (folder / "Snakefile", folder),
        (folder / "Bare", folder),
    )
    rounds = [[cost(*arguments) for arguments in measured] for _ in range(repetitions)]
    best = [min(costs, key=lambda found: found.seconds) for costs in zip(*rounds, strict=True)]
    columns = [
        *(f"{number:,}" for number in (inference_jobs, len(jobs), shape(jobs)["edges"])),
        *(f"{found.seconds:.2f} s" for found in best),
        f"{best[0].seconds / best[1].seconds:.2f}",
        *(f"{found.mebibytes:.0f} MiB" for found in best[:2]),
    ]
    return f"| {' | '.join(columns)} |"


def print_table(sizes: list[int]) -> None:
    counts, seconds, memory = (
        "inference jobs | jobs | edges",
        "soaflow | floor | bare floor",
        "memory | floor's",
    )
    print(f"| {counts} | {seconds} | soaflow / floor | {memory} |")
    print("|" + "--:|" * 9)
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            print(compare(size, Path(name), repetitions=1 if size > MANY else 3), flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--plan", snakefile, *configfiles]:
            print_plan(Path(snakefile), [Path(name) for name in configfiles])
        case ["--cost", *arguments]:
            print_cost(arguments)
        case sizes:
            print_table([int(size) for size in sizes])
