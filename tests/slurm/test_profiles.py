"""The profiles for farms, as far as they can be checked without one."""

import re

import pytest
import yaml
from checkouts import REPOSITORY

DIFFERENCE = {"slurm-status-command": ("sacct", "squeue")}


def profile(name):
    return yaml.safe_load((REPOSITORY / f"profiles/{name}/config.yaml").read_text())


@pytest.mark.parametrize("name", ["slurm", "slurm-without-accounting"])
def test_a_profile_for_a_farm_has_all_that_the_default_has(name):
    assert profile("default").items() <= profile(name).items()


def test_the_two_profiles_differ_in_how_they_ask_for_states_alone():
    with_accounts, without = profile("slurm"), profile("slurm-without-accounting")
    assert with_accounts.keys() == without.keys()
    assert {
        key: (value, without[key]) for key, value in with_accounts.items() if value != without[key]
    } == DIFFERENCE


def rules():
    """The text of each rule, by its name."""
    found = {}
    for path in (REPOSITORY / "workflow/rules").glob("*.smk"):
        parts = re.split(r"(?m)^(?:rule |use rule \w+ as )(\w+)(?::| with:)$", path.read_text())
        found |= dict(zip(parts[1::2], parts[2::2], strict=True))
    return found


def group_of(text):
    named = re.search(r"(?m)^    group:\n        (?:if_few_shards\()?\"(\w+)\"", text)
    return named and named[1]


@pytest.mark.parametrize("name", ["slurm", "slurm-without-accounting"])
def test_groups_and_resources_name_what_the_rules_have(name):
    assert profile(name)["set-resources"].keys() <= rules().keys()
    groups = {group_of(text) for text in rules().values()} - {None}
    assert profile(name)["group-components"].keys() == groups


def test_every_job_that_shares_a_submission_has_its_minutes_as_they_are_summed():
    shared = {name for name, text in rules().items() if group_of(text)}
    resources = profile("slurm")["set-resources"]
    assert {name for name in shared if "attempt" not in str(resources.get(name, {}).get("runtime"))} == set()


def test_no_rule_that_may_fail_lasts_long_or_is_measured_shares_a_submission():
    for name in (
        "train",
        "export_aot",
        "measure_speed",
        "measure_starts",
        "measure_profiles",
        "require_verdicts",
    ):
        assert group_of(rules()[name]) is None, name


def test_no_group_mixes_jobs_with_and_without_gpus():
    with_gpu = {group_of(text) for text in rules().values() if "gpu=1" in text}
    without = {group_of(text) for text in rules().values() if "gpu=1" not in text}
    assert with_gpu == {"inference_on_gpu", None}
    assert with_gpu & without == {None}


def test_rules_name_no_partition_or_account():
    for path in (REPOSITORY / "workflow/rules").rglob("*.smk"):
        assert "slurm" not in path.read_text(), path
