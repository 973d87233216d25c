from typing import Any

import pytest


@pytest.fixture
def full_size(benchmark: Any) -> bool:
    """Whether the benchmark measures; with `--benchmark-disable` it is a plain small test."""
    return not benchmark.disabled
