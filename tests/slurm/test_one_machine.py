"""The farm itself: it may be started twice, and leaves real clusters and other users alone."""

import subprocess

import pytest
from slurm.farm import FARM, STATE

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("farm")]


def run(*command, script=None):
    text = None if script is None else script.read_text()
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def daemons():
    return {path.name: path.read_text() for path in (STATE / "run").glob("*.pid")}


def test_it_may_be_started_twice(farm):
    before = daemons()
    assert len(before) == 4
    again = run(farm, "up")
    assert again.returncode == 0, again.stderr
    assert daemons() == before


@pytest.mark.parametrize("command", ["up", "down"])
def test_it_leaves_the_configuration_of_a_real_cluster_alone(farm, command):
    hidden = "mount -t tmpfs none /etc/slurm && echo ClusterName=site >/etc/slurm/slurm.conf"
    if run("unshare", "--mount", "bash", "-c", hidden).returncode:
        pytest.skip("only a user who may mount can put the configuration of a site in the place of this one")
    asked = f"'{farm}' {command}; status=$?; cat /etc/slurm/*; exit $status"
    done = run("unshare", "--mount", "bash", "-c", f"{hidden} && {asked}")
    assert done.returncode == 2
    assert done.stdout == "ClusterName=site\n"
    assert "/etc/slurm/slurm.conf is not from here: this machine belongs to a cluster" in done.stderr
    assert run(farm, "check").returncode == 0


def test_other_users_are_told_that_it_needs_root(farm):
    for command in ("up", "down"):
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-s", command]
        done = run(*nobody, script=FARM)
        assert done.returncode == 2
        assert "only root can" in done.stderr
    assert run(farm, "check").returncode == 0


def test_where_nothing_can_be_installed_a_sentence_says_so(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "id", "head", "env"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    done = run("env", f"PATH={tools}", "bash", "-s", "install", script=FARM)
    assert done.returncode == 2
    assert "Slurm is missing, and so is apt-get: install slurmctld" in done.stderr
