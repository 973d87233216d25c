"""Runs the whole workflow twice from scratch, in two fresh folders, and compares what came out.

The second run has other shards, other cores and another order of its jobs. Training reads its batches from
within shards, so its weights depend on how the events are cut; the second run therefore trains on the shards
of the first run, is held against it, and then takes these weights through everything else on other shards.

    python workflow/reproduce.py --folder reproduced --cores 2 --models SimpleNet Scaled
"""

import argparse
import copy
import fnmatch
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from soaflow.errors import ConfigError, OutputError, SoaflowError
from soaflow.files import read_yaml

CHECKOUT = Path(__file__).resolve().parents[1]

NOT_COPIED = ("results", "reproduced", ".venv", ".git", ".snakemake", "__pycache__", ".*_cache")
"""What a fresh checkout does not have, and what is too large to copy."""

CONFIG = "reproduced.yaml"

OF_TRAINING = ("events", "event files", "weights", "origins", "learning curves")
"""Kinds that a run until its weights has."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run twice, and print the tables; 1 if something differs that should not, 2 for the user's mistakes."""
    options = _options(arguments)
    try:
        config = chosen(read_config(options.config), options.models)
        check_is_not_copied(options.folder)
    except SoaflowError as error:
        print(f"soaflow: error: {error}", file=sys.stderr)
        return 2
    return run_twice(options, config)


def run_twice(options: argparse.Namespace, config: Mapping[str, Any]) -> int:
    """Run a configuration in two fresh folders, and return the exit code."""
    first, second = (fresh_folder(options.folder / name) for name in ("first", "second"))

    say("first run")
    snakemake(first, config, options.cores, options.targets)

    say("second run until its weights: other cores, another order")
    other_cores = options.cores + 1
    trained = [name for name, model in config["models"].items() if "training" in model]
    snakemake(
        second,
        config,
        other_cores,
        [f"results/weights/{name}.pt" for name in config["models"]],
        first_of_all=trained[-1:],
    )
    status = compare(first, second, OF_TRAINING)

    say("second run on other shards, with its own weights, to its end")
    for name in trained:
        keep_weights(second, name)
    snakemake(
        second,
        resharded(config, trained),
        other_cores,
        options.targets,
        first_of_all=[*config["models"]][-1:],
    )
    status |= compare(first, second)
    say(order_of(first, second))
    return status


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("reproduced"), help="default: %(default)s")
    parser.add_argument(
        "--config", type=Path, default=Path("config/config.yaml"), help="default: %(default)s"
    )
    parser.add_argument("--models", nargs="*", default=[], help="default: all of the configuration")
    parser.add_argument("--targets", nargs="*", default=[], help="default: everything")
    parser.add_argument("--cores", type=int, default=2, help="of the first run; the second has one more")
    return parser.parse_args(arguments)


def say(sentence: str) -> None:
    """Print what happens now."""
    print(f"\n== {sentence}", flush=True)


def read_config(path: Path) -> dict[str, Any]:
    """Read a configuration; whether it is sound, Snakemake finds out.

    Raises
    ------
    StorageError
        If the file cannot be read.
    ConfigError
        If it has no models.
    """
    config = read_yaml(path)
    if not isinstance(config, dict) or not isinstance(config.get("models"), dict):
        raise ConfigError(f"{path} has no models: name a configuration")
    return config


def check_is_not_copied(folder: Path) -> None:
    """Check that the folder of both runs is no part of what is copied into it, nor the other way round.

    Raises
    ------
    OutputError
        If it is.
    """
    inner = folder.resolve()
    if CHECKOUT.is_relative_to(inner / "first") or CHECKOUT.is_relative_to(inner / "second"):
        raise OutputError(f"{folder} would lose this checkout, which lies in it: name another folder")
    if not inner.is_relative_to(CHECKOUT):
        return
    parts = inner.relative_to(CHECKOUT).parts
    if not any(fnmatch.fnmatch(part, pattern) for part in parts for pattern in NOT_COPIED):
        raise OutputError(
            f"{folder} lies in this checkout, of which it is to hold copies: name a folder elsewhere, "
            "or 'reproduced'"
        )


def fresh_folder(folder: Path) -> Path:
    """Copy the checkout without its results; a folder of that name from an earlier time is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(CHECKOUT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
    return folder


def chosen(whole: Mapping[str, Any], models: Collection[str]) -> dict[str, Any]:
    """Return the configuration with these models alone, and with the datasets that they use; all if none.

    Raises
    ------
    ConfigError
        If one of them is not there.
    """
    config = copy.deepcopy(dict(whole))
    if models:
        if unknown := set(models) - set(config["models"]):
            raise ConfigError(
                f"there is no model '{min(unknown)}' in the configuration: choose of "
                f"{', '.join(config['models'])}"
            )
        config["models"] = {name: config["models"][name] for name in config["models"] if name in models}
        used = {dataset for model in config["models"].values() for dataset in datasets_of(model)}
        config["datasets"] = {name: entry for name, entry in config["datasets"].items() if name in used}
        config["waivers"] = [entry for entry in config.get("waivers", []) if entry["model"] in models]
    return config


def datasets_of(model: Mapping[str, Any]) -> list[str]:
    """Return the datasets that a model is run and trained on."""
    trained_on = model.get("training", {}).get("dataset")
    return [*model["datasets"], *([trained_on] if trained_on else [])]


def resharded(whole: Mapping[str, Any], trained: Collection[str]) -> dict[str, Any]:
    """Return the configuration with one more shard in each dataset, and given weights where it trained."""
    config = copy.deepcopy(dict(whole))
    for dataset in config["datasets"].values():
        dataset["shards"] = dataset.get("shards", 1) + 1
    for name in trained:
        del config["models"][name]["training"]
        config["models"][name]["weights"] = given_weights(name)
    return config


def given_weights(model: str) -> str:
    """Return where the second run's own weights of a model wait, in its folder."""
    return f"given/{model}.pt"


def keep_weights(folder: Path, model: str) -> None:
    """Put the weights of a model out of the way of the results, with what they come from."""
    given = folder / given_weights(model)
    given.parent.mkdir(exist_ok=True)
    for ending in ("", ".origin.json"):
        shutil.copy(folder / f"results/weights/{model}.pt{ending}", f"{given}{ending}")


def snakemake(
    folder: Path,
    config: Mapping[str, Any],
    cores: int,
    targets: Sequence[str],
    first_of_all: Sequence[str] = (),
) -> None:
    """Run the workflow in a folder; what concerns the models in `first_of_all` comes first.

    Raises
    ------
    SystemExit
        If it fails.
    """
    (folder / CONFIG).write_text(yaml.safe_dump(dict(config), sort_keys=False), encoding="utf-8")
    prioritized = [f"results/weights/{model}.pt" for model in first_of_all]
    command = [
        *(sys.executable, "-m", "snakemake", "--cores", str(cores), "--configfile", CONFIG),
        *(["--prioritize", *prioritized] if prioritized else []),
        *(["--", *targets] if targets else []),
    ]
    paths = [str((folder / "src").resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    with (folder / "snakemake.log").open("a", encoding="utf-8") as log:
        done = subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=log, check=False)
    if done.returncode:
        raise SystemExit(f"the run in {folder} failed: see {folder / 'snakemake.log'}")


def compare(first: Path, second: Path, kinds: Sequence[str] = ()) -> int:
    """Print the table of hashes, and return the exit code of `soaflow reproduced`."""
    command = [sys.executable, "-m", "soaflow", "reproduced", str(first / "results"), str(second / "results")]
    return subprocess.run([*command, *(["--kinds", *kinds] if kinds else [])], check=False).returncode


def order_of(first: Path, second: Path) -> str:
    """Say how many pairs of jobs that both runs have ended in another order in the second one."""
    ended, others = map(_ends, (first, second))
    both = sorted(ended.keys() & others.keys(), key=ended.__getitem__)
    pairs = list(itertools.combinations(both, 2))
    turned = sum(others[one] > others[other] for one, other in pairs)
    return f"{turned} of {len(pairs)} pairs of jobs ended in another order"


def _ends(folder: Path) -> dict[str, int]:
    """Return when each job wrote to its log for the last time."""
    logs = folder / "results/logs"
    return {str(path.relative_to(logs)): path.stat().st_mtime_ns for path in logs.rglob("*.log")}


if __name__ == "__main__":
    sys.exit(main())
