"""What all tests of builds for a GPU share."""

import pytest
from h100_builds import Builds


@pytest.fixture(scope="session")
def builds(tmp_path_factory):
    return Builds(tmp_path_factory.mktemp("builds"))
