"""What others install and run is what is tested here: CI elsewhere, environment file, container."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def jobs():
    return yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text())["jobs"]


def test_the_continuous_integration_runs_what_lands_a_change_and_nothing_else(jobs):
    (job,) = jobs.values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands[-1] == ".ci/run"
    assert all(
        re.fullmatch(r"apt-get update -qq && apt-get install [\w +-]+", each) for each in commands[:-1]
    )


def test_the_environment_file_pins_what_the_package_pins():
    environment = yaml.safe_load((REPOSITORY / "workflow/envs/soaflow.yaml").read_text())
    (pinned,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert pinned == project["dependencies"]


def test_the_container_installs_the_systems_packages_that_the_continuous_integration_does(jobs):
    (job,) = jobs.values()
    recipe = (REPOSITORY / "Containerfile").read_text()
    wanted = set(_packages(recipe))
    assert {"g++", "make", "python3-venv"} <= wanted
    assert wanted <= set(_packages(job["steps"][0]["run"]))


def test_the_container_copies_what_it_installs_and_runs():
    ignored = (REPOSITORY / ".containerignore").read_text().split()
    for needed in ("Makefile", "Snakefile", "config", "constraints.txt", "pyproject.toml", "src", "workflow"):
        assert f"!{needed}" in ignored
        assert (REPOSITORY / needed).exists()


def _packages(text):
    (found,) = re.findall(r"apt-get install ([\w +-]+)", text)
    return [word for word in found.split() if not word.startswith("-")]
