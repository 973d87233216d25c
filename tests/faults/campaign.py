"""Injects faults at every stage of a finished run, and counts what becomes of them.

Run as a program: `python tests/faults/campaign.py --faults 100 --seed 1`, which writes the table of counts.
"""

import argparse
import csv
import itertools
import math
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))

import yaml
from checkouts import REPOSITORY, make_checkout
from faults.attacks import ATTACKS, NEED_INPUTS, TELLS_OF, Scene, ended
from faults.jobs import checkout_at, copy_of, job_environment, read_jobs
from faults.outcomes import HarmError, Tally, require
from faults.runs import RUN_ATTACKS, Run
from faults.warm import WarmServer
from faults.whole import leftovers, wrong_files

COLD = ("export_aot",)
"""What must set its environment before it loads torch."""

WARM_SHARE = 0.9
"""Of the jobs that a process with the slow imports done starts."""

COMPILING_SHARE = 0.5
"""Of the killed compilations that find nothing in the cache."""

UNDISTURBED_SECONDS = 2.0
"""Of a job without a benchmark file."""


class Campaign:
    """Faults in one finished run, each in a fresh copy of it.

    Parameters
    ----------
    finished
        The undisturbed run.
    jobs
        Its jobs.
    scratch
        Folder for the copies.
    cache
        Of compiled packages.
    seed
        Of all that is left to chance.
    """

    def __init__(self, finished, jobs, scratch, cache, seed):
        self.finished, self.jobs, self.scratch, self.cache = finished, jobs, scratch, cache
        self.rng = Random(seed)
        self.folder = copy_of(finished, scratch / "attacked")
        self.server = WarmServer(job_environment(self.folder, cache), scratch)
        self.tally = Tally()
        self.warm_seconds = {}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.server.close()

    @property
    def rules(self):
        return sorted({job.rule for job in self.jobs})

    def pairs(self, attacks):
        """Every rule with every fault that it can have: in each round all rules, with faults of all kinds."""
        rules = self.rng.sample(self.rules, len(self.rules))
        faults = self.rng.sample(list(attacks), len(attacks))
        possible = {rule: [fault for fault in faults if self.can_have(rule, fault)] for rule in rules}
        return [
            (rule, possible[rule][(place + turn) % len(possible[rule])])
            for turn in range(len(faults))
            for place, rule in enumerate(rules)
            if turn < len(possible[rule])
        ]

    def can_have(self, rule, fault):
        if (rule, fault) in TELLS_OF:
            return False
        return fault not in NEED_INPUTS or any(job.inputs for job in self.of(rule))

    def of(self, rule):
        return tuple(job for job in self.jobs if job.rule == rule)

    def inject(self, attacks, count, minutes=math.inf):
        """Inject so many faults, of all kinds and at all stages in turn, or as many as the time allows."""
        until = time.monotonic() + 60 * minutes
        for rule, fault in itertools.islice(itertools.cycle(self.pairs(attacks)), count):
            if time.monotonic() > until:
                break
            outcome = self.attack(rule, fault)
            print(f"{self.tally.injected}: {rule}, {fault}: {outcome}", flush=True)

    def attack(self, rule, fault):
        """Do one fault of one kind to a job of a rule, or to a run of all its jobs; count how it ended."""
        folder = copy_of(self.finished, self.folder)
        try:
            hit = (self._attack_run if fault in RUN_ATTACKS else self._attack_job)(folder, rule, fault)
        except HarmError as loss:
            self.tally.add(rule, fault, "lost")
            self.tally.losses.append(f"{rule}, {fault}: {loss}")
            return f"LOST: {loss}"
        outcome = "survived" if hit else "missed"
        self.tally.add(rule, fault, outcome)
        return outcome

    def _attack_job(self, folder, rule, fault):
        candidates = [job for job in self.of(rule) if job.inputs or fault not in NEED_INPUTS]
        job = self.rng.choice(candidates)
        warm = rule not in COLD and self.rng.random() < WARM_SHARE
        seconds = self.warm_seconds.get(rule, 0.3) if warm else seconds_of(folder, job)
        scene = Scene(
            self.finished, folder, job, self.rng, seconds, self.cache, self.server if warm else None
        )
        compiling = rule in COLD and fault == "job killed" and self.rng.random() < COMPILING_SHARE
        hit = ATTACKS[fault](replace(scene, cache=None) if compiling else scene)
        self._require_whole(folder, complete=False)
        started = time.perf_counter()
        code, screen = ended(scene.start())
        if warm:
            self.warm_seconds[rule] = time.perf_counter() - started
        require(code == 0, "the job does not run again:", screen)
        self._require_whole(folder, complete=True)
        return hit

    def _attack_run(self, folder, rule, fault):
        jobs = self.of(rule)
        run = Run(self.finished, folder, jobs, self.rng, seconds_of(folder, jobs[0]), self.cache)
        run.remove_outputs()
        hit = RUN_ATTACKS[fault](run)
        self._require_whole(folder, complete=False)
        run.go_on()
        run.wait_for_orphans()
        self._require_whole(folder, complete=True)
        return hit

    def _require_whole(self, folder, *, complete):
        wrong = wrong_files(folder, self.finished, complete=complete)
        require(not wrong, "; ".join(wrong))
        if complete:
            left = leftovers(folder)
            require(not left, "left behind:", *left)


def seconds_of(folder, job):
    """What a job took in the undisturbed run, by its benchmark file."""
    path = folder / job.log.replace("results/logs/", "results/benchmarks/").replace(".log", ".tsv")
    if not path.is_file():
        return UNDISTURBED_SECONDS
    with path.open() as stream:
        return float(next(csv.DictReader(stream, delimiter="\t"))["s"])


def finished_run(folder, cache, targets):
    """Make targets undisturbed in a new checkout, with a cache of compiled packages that later jobs share."""
    config = yaml.safe_load((REPOSITORY / "tests/faults/config.yaml").read_text())
    checkout = make_checkout(folder, config)
    with mock.patch.dict(os.environ, SOAFLOW_CACHE=str(cache)):
        done = checkout.snakemake(*targets)
    assert done.returncode == 0, done.stderr
    return checkout.folder


def main():
    """Inject the faults, print what is lost as it happens, and the table at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=100, help="how many")
    parser.add_argument("--runs", type=int, help="how many of them in whole runs; a fifth unless given")
    parser.add_argument("--minutes", type=float, default=math.inf, help="for each of the two at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--finished", type=Path, help="an undisturbed run, to save making one")
    parser.add_argument("--table", type=Path, help="where the table of counts goes, besides the screen")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soaflow-faults-") as name:
        scratch = Path(name)
        cache = (arguments.finished or scratch).absolute() / "cache"
        finished = arguments.finished or finished_run(scratch / "finished", cache, ["all"])
        jobs = read_jobs(checkout_at(finished.absolute()), ["all"])
        with Campaign(finished.absolute(), jobs, scratch, cache, arguments.seed) as campaign:
            runs = arguments.faults // 5 if arguments.runs is None else arguments.runs
            campaign.inject(ATTACKS, arguments.faults - runs, arguments.minutes)
            campaign.inject(RUN_ATTACKS, runs, arguments.minutes)
    table = campaign.tally.table()
    print(table)
    if arguments.table:
        arguments.table.write_text(table)
    sys.exit(bool(campaign.tally.losses))


if __name__ == "__main__":
    main()
