"""Copies of the workflow and the library in folders of their own, for tests that run Snakemake."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Checkout:
    """A folder in which a workflow runs, with its own configuration and a copy of the library."""

    folder: Path
    library: Path

    @property
    def config(self):
        return yaml.safe_load((self.folder / "config/config.yaml").read_text())

    def write_config(self, config):
        (self.folder / "config/config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def environment(self):
        paths = [str(self.library), *filter(None, [os.environ.get("PYTHONPATH")])]
        tools = [str(Path(sys.executable).parent), os.environ["PATH"]]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PATH": os.pathsep.join(tools)}

    def run(self, program, *arguments):
        return subprocess.run(
            [sys.executable, *program, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def snakemake(self, *arguments):
        return self.run(["-m", "snakemake"], "--cores", 2, *arguments)

    def planned(self, config=None, snakefile="Snakefile"):
        """The jobs that Snakemake would run, as `(rule, {wildcard: value})`."""
        changed = self.folder / "changed.yaml"
        changed.write_text(yaml.safe_dump(config or self.config, sort_keys=False))
        done = self.run([str(REPOSITORY / "tests/workflow/planned_jobs.py")], snakefile, ".", changed)
        assert done.returncode == 0, done.stderr
        return [(rule, wildcards) for rule, wildcards in json.loads(done.stdout.splitlines()[-1])]


def make_checkout(folder, config):
    """Copy the workflow as it is, with a configuration."""
    folder.mkdir(parents=True)
    for part in ("Snakefile", "workflow", "src", "profiles", "resources"):
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    shutil.copy(REPOSITORY / "tests/workflow/user_model.py", folder / "user_model.py")
    (folder / "config").mkdir()
    checkout = Checkout(folder, library=folder / "src")
    checkout.write_config(config)
    return checkout
