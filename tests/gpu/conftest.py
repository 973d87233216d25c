"""What all tests on a GPU share."""

import pytest
from gpu_workshop import Workshop

from soaflow.gpu import gpus


@pytest.fixture(scope="session")
def workshop(tmp_path_factory):
    return Workshop(tmp_path_factory.mktemp("gpu"), gpus()[0].architecture)
