"""What all tests on a GPU share."""

import pytest
from gpu_workshop import Workshop

from soaflow.gpu import gpus
from soaflow.gpu_settings import WORKSPACE_VARIABLE


@pytest.fixture(scope="session", autouse=True)
def _workspace():
    """Set what CUDA reads when it starts, whichever test is the first to start it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WORKSPACE_VARIABLE, ":4096:8")
        yield


@pytest.fixture(scope="session")
def workshop(tmp_path_factory):
    return Workshop(tmp_path_factory.mktemp("gpu"), gpus()[0].architecture)
