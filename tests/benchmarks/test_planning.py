"""The floor that planning is measured against is the same plan."""

import importlib.util
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def planning():
    spec = importlib.util.spec_from_file_location("planning", HERE / "planning.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_floor_has_the_same_jobs_files_edges_and_parameters(planning, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(planning.configuration(inference_jobs=10)))
    jobs = planning.plan(planning.REPOSITORY / "Snakefile", tmp_path, str(config))
    assert sum(job.rule == "infer" for job in jobs) == 10
    planning.write_floor(jobs, tmp_path)
    shape = planning.shape(jobs)
    assert planning.shape(planning.plan(tmp_path / "Snakefile", tmp_path)) == shape
    bare = planning.shape(planning.plan(tmp_path / "Bare", tmp_path))
    assert bare == {**shape, "parameters": 0}
