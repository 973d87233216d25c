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


def planned(planning, folder, inference_jobs):
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(planning.many_jobs(inference_jobs)))
    return planning.plan(planning.REPOSITORY / "Snakefile", folder, str(config))


def test_the_floor_has_the_same_jobs_files_edges_parameters_and_submissions(planning, tmp_path):
    jobs = planned(planning, tmp_path, inference_jobs=10)
    assert sum(job.rule == "infer" for job in jobs) == 10
    planning.write_floor(jobs, tmp_path)
    shape = planning.shape(jobs)
    assert planning.shape(planning.plan(tmp_path / "Snakefile", tmp_path)) == shape
    bare = planning.shape(planning.plan(tmp_path / "Bare", tmp_path))
    assert bare == {**shape, "parameters": 0, "submissions": len(jobs)}
    assert shape["submissions"] < len(jobs)


@pytest.mark.parametrize(("shards", "groups"), [(50, {"judgement"}), (51, {None})])
def test_what_waits_for_many_shards_is_in_no_group(planning, tmp_path, shards, groups):
    jobs = planned(planning, tmp_path, inference_jobs=5 * shards)
    assert {job.group for job in jobs if job.rule == "judge"} == groups
    assert {job.group for job in jobs if job.rule == "infer"} == {"inference"}
