import shutil

import checkouts
import pytest
import yaml


@pytest.fixture(scope="session")
def make_checkout():
    return checkouts.make_checkout


@pytest.fixture(scope="session")
def test_config():
    return yaml.safe_load((checkouts.REPOSITORY / "tests/workflow/config.yaml").read_text())


@pytest.fixture
def consumer(finished, tmp_path):
    """A workflow of somebody else's that imports that of the finished run as a module."""
    shutil.copy(checkouts.REPOSITORY / "tests/workflow/consumer/Snakefile", tmp_path)
    config = {
        "soaflow_snakefile": str(finished.folder / "workflow/Snakefile"),
        "skimmed": str(finished.folder / "resources/nano_tt_v15.root"),
        "soaflow": {
            **finished.config,
            "datasets": {"ttbar": finished.config["datasets"]["ttbar"]},
            "models": {"JetTagger": finished.config["models"]["JetTagger"]},
        },
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return checkouts.Checkout(tmp_path, library=finished.folder / "src")


@pytest.fixture(scope="session")
def finished(tmp_path_factory, test_config):
    """A checkout whose workflow has run to its end; tests must leave its results as they are."""
    checkout = checkouts.make_checkout(tmp_path_factory.mktemp("finished") / "checkout", test_config)
    done = checkout.snakemake()
    assert done.returncode == 0, done.stderr
    return checkout
