"""The whole workflow twice, on other shards and cores: what `make reproduce` does, as small as it can be."""

import copy

import pytest
import yaml

pytestmark = pytest.mark.workflow


@pytest.fixture
def mistaken(make_checkout, test_config, tmp_path):
    """A function that asks for something that cannot be, and returns what is said of it."""
    checkout = make_checkout(tmp_path / "checkout", test_config)
    before = sorted(checkout.folder.rglob("*"))

    def ask(*arguments):
        done = checkout.run(["workflow/reproduce.py"], *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert sorted(path for path in checkout.folder.rglob("*") if "__pycache__" not in str(path)) == before
        return done.stderr.removeprefix("soaflow: error: ")

    return ask


def test_a_model_that_is_not_there_is_named(mistaken):
    assert mistaken("--models", "SimpleNet", "SimplNet").startswith(
        "there is no model 'SimplNet' in the configuration: choose of SimpleNet, "
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "other.yaml cannot be read: No such file or directory\n"),
        (b"\xff", "other.yaml cannot be read as YAML: 'utf-8' codec can't decode byte 0xff"),
        (b"a: [", "other.yaml cannot be read as YAML: while parsing a flow node"),
        (b"models: [1]", "other.yaml has no models: name a configuration\n"),
        (b"just words", "other.yaml has no models: name a configuration\n"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_named(mistaken, tmp_path, content, said):
    if content is not None:
        (tmp_path / "other.yaml").write_bytes(content)
    found = mistaken("--config", "../other.yaml")
    assert found.startswith(f"../{said}")
    assert found.count("\n") == 1


def test_a_folder_that_would_be_copied_into_itself_is_refused(mistaken):
    for folder in ("twice", "config/twice", "."):
        assert mistaken("--folder", folder).startswith(f"{folder} lies in this checkout, of which it is to ")


def test_a_folder_whose_runs_would_replace_the_checkout_is_refused(make_checkout, test_config, tmp_path):
    checkout = make_checkout(tmp_path / "first", test_config)
    done = checkout.run(["workflow/reproduce.py"], "--folder", "..")
    assert (done.returncode, done.stderr) == (
        2,
        "soaflow: error: .. would lose this checkout, which lies in it: name another folder\n",
    )
    assert (checkout.folder / "workflow/reproduce.py").exists()


@pytest.mark.parametrize("folder", ["reproduced", "results/twice", "../twice"])
def test_a_folder_that_is_not_copied_is_taken(make_checkout, test_config, tmp_path, folder):
    checkout = make_checkout(tmp_path / "checkout", test_config)
    (checkout.folder / "broken.yaml").write_text(yaml.safe_dump({"models": {}}))
    done = checkout.run(["workflow/reproduce.py"], "--folder", folder, "--config", "broken.yaml")
    assert done.stderr.startswith(f"the run in {folder}/first failed: see ")


@pytest.fixture(scope="module")
def reproduced(make_checkout, test_config, tmp_path_factory):
    """What was printed, and the folder of both runs."""
    config = copy.deepcopy(test_config)
    config["models"]["SimpleNet"]["variants"] = ["eager"]
    checkout = make_checkout(tmp_path_factory.mktemp("reproduce") / "checkout", config)
    folder = checkout.folder.parent / "reproduced"
    done = checkout.run(
        *(["workflow/reproduce.py"], "--folder", folder, "--models", "SimpleNet"),
        *("--targets", "results/verdicts/passed.txt"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, folder


def table(text):
    """By kind: both digests, and how many are equal, expected to differ, different and missing."""
    rows = [line.rsplit(maxsplit=6) for line in text.splitlines()]
    return {row[0].strip(): row[1:] for row in rows if len(row) == 7 and len(row[1]) == len(row[2]) == 12}


def test_training_on_other_cores_and_in_another_order_gives_the_same_bytes(reproduced):
    until_weights, _, _ = reproduced[0].partition("== second run on other shards")
    found = table(until_weights)
    assert found.keys() == {"events", "event files", "weights", "origins", "learning curves"}
    assert all(first == second and counts[1:] == ["0", "0", "0"] for first, second, *counts in found.values())


def test_other_shards_give_the_same_rows(reproduced):
    _, _, whole = reproduced[0].partition("== second run on other shards")
    found = table(whole)
    for kind in ("events", "weights", "origins", "outcomes"):
        assert found[kind][0] == found[kind][1], kind
    assert found["event files"][3] == "3"
    assert all(row[4:] == ["0", "0"] for row in found.values())
    assert "expected: event files toy/2.h5 (the same rows in other shards)" in whole
    assert "pairs of jobs ended in another order" in whole


def test_nobodys_results_were_touched(reproduced):
    _, folder = reproduced
    assert sorted(path.name for path in folder.iterdir()) == ["first", "second"]
    assert not (folder.parent / "checkout/results").exists()
